"""DGAAL (Guo, Pang, Bai, Xie, Chen 2021, doi 10.1007/s10489-020-02121-4): pool and synthesis."""
