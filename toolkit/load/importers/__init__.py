"""Result files of other load generators as our own measurements; `read_results` in read.py recognises them."""
