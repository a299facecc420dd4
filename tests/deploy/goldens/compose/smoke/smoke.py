"""Try a deployed bundle: model files, health, metadata, one inference with its expected answer.

    python3 smoke/smoke.py [--url http://127.0.0.1:8000] [--wait SECONDS]

Needs Python 3.8 or newer and nothing else. Exit code 0 when all is as it was in the proof of concept, 1 when not.
"""

import argparse
import hashlib
import json
import math
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

BUNDLE = Path(__file__).resolve().parents[1]
HEADER_LENGTH = "Inference-Header-Content-Length"
#: struct formats of the KServe v2 dtypes that have a fixed size.
FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


class Failure(Exception):
    """Something is not as it was in the proof of concept."""


def check_files(lock):
    for path, expected in lock["files"].items():
        if hashlib.sha256((BUNDLE / path).read_bytes()).hexdigest() != expected:
            raise Failure("%s is not the file that was measured" % path)
    return "%d model files are those that were measured" % len(lock["files"])


def check_health(url, wait_s):
    deadline = time.monotonic() + wait_s
    while True:
        try:
            urllib.request.urlopen(url + "/v2/health/ready", timeout=5).close()
            return "the server is ready"
        except OSError as error:
            if time.monotonic() >= deadline:
                raise Failure("%s is not ready: %s" % (url, error)) from error
            time.sleep(1)


def check_metadata(model_url, expectation):
    metadata = json.loads(fetch(model_url)[0])
    served = {output["name"]: output["datatype"] for output in metadata["outputs"]}
    for output in expectation["outputs"]:
        if served.get(output["name"]) != output["datatype"]:
            raise Failure("output %s: the model has %s" % (output["name"], served))
    return "the model has the expected outputs"


def check_inference(model_url, expectation):
    request = urllib.request.Request(
        model_url + "/infer",
        data=(BUNDLE / "smoke" / "request.bin").read_bytes(),
        headers={
            HEADER_LENGTH: str(expectation["header_length"]),
            "Content-Type": "application/octet-stream",
        },
    )
    body, headers = fetch(request)
    answers = decode(body, int(headers.get(HEADER_LENGTH, len(body))))
    for output in expectation["outputs"]:
        compare(output, answers[output["name"]], expectation["absolute"], expectation["relative"])
    return "the answer is the expected one"


def fetch(request):
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read(), response.headers
    except urllib.error.HTTPError as error:
        raise Failure("HTTP %d: %s" % (error.code, error.read().decode(errors="replace"))) from error
    except OSError as error:
        raise Failure("no answer: %s" % error) from error


def decode(body, header_length):
    """Output name to (shape, elements), from a KServe v2 answer with binary tensors."""
    answers, offset = {}, header_length
    for output in json.loads(body[:header_length])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            elements = output["data"]
        else:
            elements = elements_of(output["datatype"], body[offset : offset + size])
            offset += size
        answers[output["name"]] = (output["shape"], elements)
    return answers


def elements_of(datatype, data):
    if datatype != "BYTES":
        code = FORMATS[datatype]
        return list(struct.unpack("<%d%s" % (len(data) // struct.calcsize(code), code), data))
    elements, offset = [], 0
    while offset < len(data):
        (length,) = struct.unpack_from("<I", data, offset)
        elements.append(data[offset + 4 : offset + 4 + length].decode(errors="backslashreplace"))
        offset += 4 + length
    return elements


def compare(output, answer, absolute, relative):
    shape, elements = answer
    if shape != output["shape"]:
        raise Failure("output %s has shape %s, expected %s" % (output["name"], shape, output["shape"]))
    for index, (got, wanted) in enumerate(zip(elements, output["data"])):
        if not agree(got, wanted, output["datatype"], absolute, relative):
            raise Failure("output %s[%d] is %r, expected %r" % (output["name"], index, got, wanted))


def agree(got, wanted, datatype, absolute, relative):
    """Floats within the tolerance of the proof of concept, everything else exactly."""
    if not datatype.startswith("FP"):
        return got == wanted
    wanted = float(wanted)  # "nan", "inf" and "-inf" are written as text
    if not math.isfinite(wanted):
        return got == wanted or (math.isnan(got) and math.isnan(wanted))
    return abs(got - wanted) <= absolute + relative * abs(wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--wait", type=float, default=180, help="seconds to wait until the server is ready")
    options = parser.parse_args()
    lock = json.loads((BUNDLE / "bundle.lock.json").read_text(encoding="utf-8"))
    expectation = json.loads((BUNDLE / "smoke" / "expected.json").read_text(encoding="utf-8"))
    model_url = options.url + "/v2/models/" + urllib.parse.quote(expectation["model"], safe="")
    checks = (
        ("files", lambda: check_files(lock)),
        ("health", lambda: check_health(options.url, options.wait)),
        ("metadata", lambda: check_metadata(model_url, expectation)),
        ("inference", lambda: check_inference(model_url, expectation)),
    )
    for name, check in checks:
        try:
            sys.stdout.write("ok      %-10s %s\n" % (name, check()))
        except Failure as failure:
            sys.stdout.write("FAILED  %-10s %s\n" % (name, failure))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
