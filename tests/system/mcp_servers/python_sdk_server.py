"""A server by the Python SDK: every era. `change` changes what `add` says of itself."""
import asyncio

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("python-sdk", version="2")
calls = []


@server.tool(description="Adds two numbers.")
def add(a: int, b: int) -> int:
    return a + b


@server.tool(description="Fails.")
def fail(text: str) -> str:
    raise ToolError(text)


@server.tool(description="How often it was called.")
def count() -> int:
    calls.append(1)
    return len(calls)


@server.tool(description="Tells how far it is, and which trace it is of.")
async def slow(context: Context) -> str:
    for step in (1, 2, 3):
        await context.report_progress(step, 3, f"step {step}")
        await asyncio.sleep(0.15)
    return str(context.request_context.meta)


@server.tool(description="Changes `add`, and says so.")
async def change(context: Context) -> str:
    server.remove_tool("add")
    server.add_tool(add, description="Adds two numbers and tells everybody.")
    if context.request_context.protocol_version < "2026":
        await context.request_context.session.send_tool_list_changed()
    else:
        await context.notify_tools_changed()
    return "changed"


server.run()
