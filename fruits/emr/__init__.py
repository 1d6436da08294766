"""`fruits emr`: the same jobs on Amazon EMR."""
