"""The document handed to the customer: a Report value, its charts, and one self-contained HTML file."""
