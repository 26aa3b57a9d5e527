"""Lists a Catch2 v2 program's test cases as ctest tests whose labels are their tags.

usage: discover.py PROGRAM OUTPUT.cmake LABEL...
"""
import os
import re
import subprocess
import sys


def lines(program, *arguments):
    # Catch2 v2 exits with the number of tests listed, so the status says nothing.
    out = subprocess.run([program, *arguments], stdout=subprocess.PIPE, check=False, text=True).stdout
    return out.splitlines()


def main():
    program, output, labels = sys.argv[1], sys.argv[2], sys.argv[3:]
    names = [name for name in lines(program, "--list-test-names-only") if name.strip()]
    if not names:
        sys.exit(f"{program} lists no test")
    tags = re.findall(r"\[([^\]]+)\]", "\n".join(lines(program, "--list-tags")))
    of_case = {name: list(labels) for name in names}
    for tag in sorted(set(tags)):
        for name in lines(program, "--list-test-names-only", f"[{tag}]"):
            if name in of_case and tag not in of_case[name]:
                of_case[name].append(tag)
    base = os.path.basename(program)
    with open(output + ".tmp", "w", encoding="utf-8") as out:
        for name in names:
            spec = re.sub(r'([\\,\[\]*"])', r"\\\1", name)
            title = f"{base}: {name}"
            out.write(f"add_test([==[{title}]==] [==[{program}]==] [==[{spec}]==] --warn NoTests)\n")
            joined = ";".join(of_case[name])
            # What fills the machine with processes has it alone.
            serial = " RUN_SERIAL ON" if "alone" in of_case[name] else ""
            out.write(f'set_tests_properties([==[{title}]==] PROPERTIES LABELS "{joined}" TIMEOUT 300{serial})\n')
    os.replace(output + ".tmp", output)


main()
