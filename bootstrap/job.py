"""What `spark-submit` is given on a cluster: the command `fruits`, run by the driver's Python.

spark-submit /opt/fruits/job.py run --config /opt/fruits/settings.yaml
"""

from fruits.cli import main

if __name__ == "__main__":
    main()
