"""Try a deployed bundle: model files, health, one inference or generation with its expected answer.

    python3 smoke/smoke.py [--url http://127.0.0.1:8000] [--wait SECONDS] [--case NAME]

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
            raise Failure(f"{path} is not the file that was measured")
    return f"{len(lock['files'])} model files are those that were measured"


def check_health(url, ready, wait_s):
    deadline = time.monotonic() + wait_s
    while True:
        try:
            urllib.request.urlopen(url + ready, timeout=5).close()
            return "the server is ready"
        except OSError as error:
            if time.monotonic() >= deadline:
                raise Failure(f"{url} is not ready: {error}") from error
            time.sleep(1)


def check_metadata(model_url, expectation):
    metadata = json.loads(fetch(model_url)[0])
    served = {output["name"]: output["datatype"] for output in metadata["outputs"]}
    for output in expectation["outputs"]:
        if served.get(output["name"]) != output["datatype"]:
            raise Failure(f"output {output['name']}: the model has {served}")
    return "the model has the expected outputs"


def check_inference(model_url, expectation, case):
    request = urllib.request.Request(
        model_url + "/infer",
        data=(case / "request.bin").read_bytes(),
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


def check_generation(url, expectation, case):
    """Greedy: the answer must begin with every token, or with the text, of which the original was certain."""
    request = urllib.request.Request(
        url + expectation["path"],
        data=(case / "request.json").read_bytes(),
        headers={"Content-Type": "application/json"},
    )
    tokens, text, pieces = [], "", 0
    for event in events_of(fetch(request)[0]):
        if event.get("error"):
            raise Failure(f"the stream holds an error: {event['error']}")
        choice = (event.get("choices") or [{}])[0]
        said = event.get("token_ids", [])
        tokens += said if isinstance(said, list) else [said]
        text += str(event.get("text_output", choice.get("text")) or "")
        pieces += 1
    if not text.strip() and not tokens:
        raise Failure("nothing was generated")
    wanted = expectation["token_ids"]
    if tokens and tokens[: len(wanted)] != wanted:
        raise Failure(f"the tokens begin with {tokens[: len(wanted)]}, expected {wanted}")
    if not tokens and not text.lstrip().startswith(expectation["text"].lstrip()):
        raise Failure(f"the answer is {text!r}, expected to begin with {expectation['text']!r}")
    return f"{pieces} events; the answer begins with the {len(wanted)} tokens that are certain"


def events_of(body):
    """The JSON of server-sent events, or of a whole answer."""
    text = body.decode(errors="replace")
    if not text.lstrip().startswith("data:"):
        return [json.loads(text)]
    lines = (line[len("data:") :].strip() for line in text.splitlines() if line.startswith("data:"))
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def fetch(request):
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read(), response.headers
    except urllib.error.HTTPError as error:
        raise Failure(f"HTTP {error.code}: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise Failure(f"no answer: {error}") from error


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
        return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))
    elements, offset = [], 0
    while offset < len(data):
        (length,) = struct.unpack_from("<I", data, offset)
        elements.append(data[offset + 4 : offset + 4 + length].decode(errors="backslashreplace"))
        offset += 4 + length
    return elements


def compare(output, answer, absolute, relative):
    shape, elements = answer
    if shape != output["shape"]:
        raise Failure(f"output {output['name']} has shape {shape}, expected {output['shape']}")
    if len(elements) != len(output["data"]):
        raise Failure(f"output {output['name']} has {len(elements)} elements, expected {len(output['data'])}")
    for index, wanted in enumerate(output["data"]):
        got = elements[index]
        if not agree(got, wanted, output["datatype"], absolute, relative):
            raise Failure(f"output {output['name']}[{index}] is {got!r}, expected {wanted!r}")


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
    parser.add_argument("--case", default="", help="the use case, of a bundle with several: a folder below smoke/")
    options = parser.parse_args()
    case = BUNDLE / "smoke" / options.case
    lock = json.loads((BUNDLE / "bundle.lock.json").read_text(encoding="utf-8"))
    expectation = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    model_url = options.url + "/v2/models/" + urllib.parse.quote(expectation["model"], safe="")
    checks = [
        ("files", lambda: check_files(lock)),
        ("health", lambda: check_health(options.url, expectation["ready"], options.wait)),
    ]
    if "outputs" in expectation:
        checks += [
            ("metadata", lambda: check_metadata(model_url, expectation)),
            ("inference", lambda: check_inference(model_url, expectation, case)),
        ]
    else:
        checks.append(("generation", lambda: check_generation(options.url, expectation, case)))
    for name, check in checks:
        try:
            sys.stdout.write(f"ok      {name:10} {check()}\n")
        except Failure as failure:
            sys.stdout.write(f"FAILED  {name:10} {failure}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
