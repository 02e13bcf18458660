"""A RabbitMQ of one test's own, to be stopped and started. The servers of ./dev test belong to all tests that run at the time."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import HERE, PATIENCE

TOOL = HERE.parents[2] / "tools" / "services"


class OwnRabbitMq:
    def __init__(self):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lovage-rabbitmq-"))
        # Stops it when this process has ended, however it did.
        self.guard = subprocess.Popen(["sh", "-c", 'cat; exec "$@"', "sh", *self.command("down"), "--wipe"], stdin=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def use(self):
        """Whoever looks for the servers of ./dev test finds this one among them."""
        os.environ.update(re.findall(r"^export (\w+)=(.*)$", (self.state / "env").read_text(), re.MULTILINE))

    def start(self):
        self.run("up")

    def stop(self):
        self.run("down")

    def close(self):
        self.guard.stdin.close()
        self.guard.wait(PATIENCE)
        shutil.rmtree(self.state)

    def command(self, word):
        return [sys.executable, TOOL, "--state", self.state, word, "--only", "rabbitmq"]

    def run(self, word):
        done = subprocess.run(self.command(word), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=2 * PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"tools/services {word} ended with {done.returncode}:\n{done.stdout}")
