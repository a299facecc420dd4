# This stands for nearest_items/1/model.py.
