"""Python SDK over `taper connect`, in both eras. usage: live_python.py FILE COMMAND WORD..."""
import asyncio
import sys

from mcp import Client, MCPError, StdioServerParameters

FILE, COMMAND, *WORDS = sys.argv[1:]


async def every_tool(client):
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tools


async def run(mode, version):
    async with Client(StdioServerParameters(command=COMMAND, args=WORDS), mode=mode) as client:
        assert client.protocol_version == version, client.protocol_version
        assert len(await every_tool(client)) == 70
        read = await client.call_tool("file.read", {"path": FILE})
        assert read.content[0].text == "hello\n" and not read.is_error
        rich = await client.call_tool("rich.everything")
        assert rich.structured_content == {"s": 1} and len(rich.content) == 6
        assert rich.meta["plant.example/a"] == {"b": [1]}, rich.meta
        steps = []

        async def heard(progress, total, message):
            steps.append((progress, total, message))

        await client.call_tool("rich.slow", {}, progress_callback=heard)
        assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")], steps
        denied = await client.call_tool("file.read", {"path": "/etc/passwd"})
        assert denied.is_error and denied.meta["dev.taper/denial"] == {"code": 504}
        try:
            await client.call_tool("nothing", {})
            raise AssertionError("nothing")
        except MCPError as error:
            assert error.error.code == -32602, error.error
        resources = (await client.list_resources()).resources
        task = await client.read_resource(str(resources[0].uri))
        assert "Say everything once" in task.contents[0].text
        assert (await client.list_prompts()).prompts == []
        if version == "2026-07-28":
            async with client.listen(tools_list_changed=True, resource_subscriptions=["taper://task"]):
                await client.call_tool("time.now")
        else:
            await client.send_ping()


for how, revision in (("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")):
    asyncio.run(run(how, revision))
print("Python SDK over taper connect: all as expected")
