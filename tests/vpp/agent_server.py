"""An agent that is asked for its word on a backend, well-behaved or not.

    agent_server.py PORT ADDRESS [ADDRESS…]

Standard library only; run with any Python 3 inside a network namespace. Each line on standard input is a
new behaviour, answered with `ok`; end of input ends the server:

    say WORDS    answers with WORDS and a line end (from the start: nothing but the line end)
    half WORDS   answers with WORDS, and closes without a line end
    hang WORDS   answers with WORDS, and neither ends the line nor closes
    close        closes the connection as soon as it is there

and a question: `count` is answered with `ok <connections so far>`.
"""

import asyncio
import sys


class Agent:
    """What all connections share."""

    def __init__(self):
        self.behaviour = "say"
        self.words = ""
        self.connections = 0

    def behave(self, line):
        """Takes a line of standard input; its answer."""
        word, _, rest = line.strip().partition(" ")
        if word == "count":
            return "ok %d" % self.connections
        if word not in ("say", "half", "hang", "close"):
            return "no such behaviour"
        self.behaviour, self.words = word, rest
        return "ok"


class Connection(asyncio.Protocol):
    """One query."""

    def __init__(self, agent):
        self.agent = agent

    def connection_made(self, transport):
        self.agent.connections += 1
        behaviour = self.agent.behaviour
        if behaviour != "close":
            transport.write(self.agent.words.encode())
        if behaviour == "say":
            transport.write(b"\n")
        if behaviour != "hang":
            transport.close()


async def main(port, addresses):
    agent = Agent()
    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_server(lambda: Connection(agent), address, port, backlog=1024, reuse_address=True)
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(agent.behave(line.decode()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
