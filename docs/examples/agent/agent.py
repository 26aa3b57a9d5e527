"""An agent: reads what lies in a folder, writes a report, and is refused what was not granted. It speaks the Model Context
Protocol on stdin and stdout and needs Python's own library alone. A real one would ask a model what to call next.

usage: agent.py FOLDER REPORTS
"""
import json
import sys

REVISION = "2025-11-25"


class Tools:
    """The tools that this task was given."""

    def __init__(self):
        self.last = 0
        self.ask("initialize", protocolVersion=REVISION, capabilities={}, clientInfo={"name": "reporter", "version": "1"})
        self.send(method="notifications/initialized")

    def send(self, **message):
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

    def ask(self, method, **params):
        self.last += 1
        self.send(id=self.last, method=method, params=params)
        for line in sys.stdin:
            message = json.loads(line)
            if message.get("id") == self.last:
                return message
        sys.exit("nobody answers")

    def names(self):
        return [tool["name"] for tool in self.ask("tools/list")["result"]["tools"]]

    def call(self, name, **arguments):
        """What the tool gave, or None: what is refused is told on stderr, which the holder sees."""
        answer = self.ask("tools/call", name=name, arguments=arguments)
        if "error" in answer:
            print(f"{name}: {answer['error']['message']}", file=sys.stderr)
            return None
        result = answer["result"]
        if result.get("isError"):
            print(f"{name}: {result['content'][0]['text']}", file=sys.stderr)
            return None
        return result["structuredContent"]


def main():
    folder, reports = sys.argv[1:]
    report = reports + "/alarms.txt"
    tools = Tools()
    lines = ["tools: " + ", ".join(tools.names())]
    for entry in tools.call("file.list", path=folder)["entries"]:
        text = tools.call("file.read", path=entry["path"])["text"]
        lines.append(f"{entry['name']}: {text.count('ALARM')} alarms")
    tools.call("file.read", path="/etc/hostname")  # nobody granted that
    tools.call("file.append", path=report, content="and more")  # nor this
    if tools.call("file.write", path=report, content="\n".join(lines) + "\n") is None:
        sys.exit("no report")


main()
