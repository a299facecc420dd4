"""Values to files and back, strictly; and `step`, the one mechanism by which anything is resumed.

| module | what it holds |
|---|---|
| data | values <-> plain data; reading is strict and names the field that is wrong |
| files | whole files or none: text, JSON, YAML; digests |
| steps | a step that is finished is never repeated, one that was killed leaves nothing that counts |

Nothing here knows what any of the values mean.
"""

from toolkit.records.data import from_data, to_data, to_json
from toolkit.records.files import (
    SCHEMA,
    digest_of_file,
    digest_of_files,
    digest_of_value,
    files_below,
    read_json,
    read_yaml,
    write_bytes,
    write_json,
    write_text,
    writing,
)
from toolkit.records.steps import STEP_FILE, is_finished, step

__all__ = [
    "SCHEMA",
    "STEP_FILE",
    "digest_of_file",
    "digest_of_files",
    "digest_of_value",
    "files_below",
    "from_data",
    "is_finished",
    "read_json",
    "read_yaml",
    "step",
    "to_data",
    "to_json",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
