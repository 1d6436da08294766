"""Operations on a lake, one module each."""
