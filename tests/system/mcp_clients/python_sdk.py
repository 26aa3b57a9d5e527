"""Python SDK, in both eras."""
import asyncio
import sys

from mcp import Client, MCPError, StdioServerParameters


async def run(mode, version):
    async with Client(StdioServerParameters(command=sys.argv[1]), mode=mode) as client:
        assert client.protocol_version == version, client.protocol_version
        tools = (await client.list_tools()).tools
        assert len(tools) == 7
        echoed = await client.call_tool("echo", {"text": "hé"})
        assert echoed.content[0].text == "hé" and not echoed.is_error
        assert (await client.call_tool("sum")).structured_content == {"sum": 3}
        denied = await client.call_tool("denied")
        assert denied.is_error and denied.meta["dev.taper/denial"] == {"code": 504}
        steps = []

        async def heard(progress, total, message):
            steps.append((progress, total, message))

        await client.call_tool("slow", {"ms": 80}, progress_callback=heard)
        assert steps == [(1, 4, "step 1"), (2, 4, "step 2"), (3, 4, "step 3")], steps
        for name, code in (("nothing", -32602), ("job", -32021 if version == "2026-07-28" else -32601)):
            try:
                await client.call_tool(name, {})
                raise AssertionError(name)
            except MCPError as error:
                assert error.error.code == code, error.error
        resources = (await client.list_resources()).resources
        read = await client.read_resource(str(resources[0].uri))
        assert read.contents[0].text == "41 calls are left"
        assert (await client.list_prompts()).prompts == []
        if version == "2026-07-28":
            async with client.listen(tools_list_changed=True, resource_subscriptions=["taper://task"]):
                pass
        else:
            await client.send_ping()


for mode, version in (("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")):
    asyncio.run(run(mode, version))
print("Python SDK: all as expected")
