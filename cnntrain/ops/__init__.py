"""Operations: the fast kernels that several layers share."""
