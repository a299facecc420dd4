# This stands for top/1/model.py.
