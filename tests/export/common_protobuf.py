# SPDX-License-Identifier: MIT
"""Protobuf by protoc's decoder and the definitions of a format."""
import ast
import collections
import shutil
import subprocess

from common_export import common

PROTOC = shutil.which("protoc")


def decoded(path, message, directory, definitions):
    """The text that protoc makes of a file, which is one message."""
    with open(path, "rb") as file:
        result = subprocess.run([PROTOC, f"--proto_path={directory}", f"--decode={message}", definitions], stdin=file, capture_output=True,
                                check=False)
    common.check(result.returncode == 0, result.stderr)
    return result.stdout.decode()


def messages(text):
    """Nested {field: [values]}; a field that the definitions do not have is a number, and refused."""
    root = collections.defaultdict(list)
    stack = [root]
    for line in text.split("\n"):
        line = line.strip()
        if line == "}":
            stack.pop()
        elif line.endswith("{"):
            message = collections.defaultdict(list)
            stack[-1][line[:-2]].append(message)
            stack.append(message)
        elif line:
            field, value = line.split(": ", 1)
            common.check(not field.isdigit(), ("an unknown field", line))
            stack[-1][field].append(ast.literal_eval("b" + value) if value[0] == '"' else value)
    common.equal(len(stack), 1)
    return root
