"""A whole federation on one machine: one coordinator and several sites, each a process of its own with a folder of its own,
over loopback. The demo and the end-to-end tests use it; a real consortium runs the same commands on machines of its own.
Python's standard library only."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class CommandFailed(Exception):
    pass


class Federation:
    def __init__(self, binaries, folder, site_program=None):
        self.bin = Path(binaries)
        self.folder = Path(folder)
        self.coordinator_dir = self.folder / "coordinator"
        self.site_program = site_program  # how a site runs; default: sotto-client run --exit-when-finished
        self.processes = {}               # name -> Popen
        self.logs = self.folder / "logs"
        self.folder.mkdir(parents=True)
        self.logs.mkdir()
        # Processes share the cores: nobody spins, and one matrix product has one thread.
        self.environment = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="1")

    # --- plain commands -------------------------------------------------------------------------------------------------
    def command(self, program, *arguments, check=True, quiet=True):
        done = subprocess.run([self.bin / program, *map(str, arguments)], text=True, capture_output=True, env=self.environment)
        if check and done.returncode != 0:
            raise CommandFailed(f"{program} {' '.join(map(str, arguments))} exited {done.returncode}: {done.stderr.strip()}")
        if not quiet:
            print(done.stdout, end="")
        return done

    def coordinator(self, *arguments, **keywords):
        return self.command("sotto-coordinator", *arguments, "--dir", self.coordinator_dir, **keywords)

    def site_dir(self, name):
        return self.folder / "sites" / name

    def client(self, name, *arguments, **keywords):
        return self.command("sotto-client", *arguments, "--dir", self.site_dir(name), **keywords)

    # --- processes ------------------------------------------------------------------------------------------------------
    def start(self, name, command, environment=None):
        log = open(self.logs / f"{name}.log", "a")
        self.processes[name] = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                env={**self.environment, **(environment or {})})
        log.close()

    def serve(self):
        self.start("coordinator", [self.bin / "sotto-coordinator", "serve", "--dir", self.coordinator_dir])

    def run_site(self, name, environment=None):
        program = self.site_program or [self.bin / "sotto-client", "run", "--exit-when-finished", "--dir"]
        self.start(name, [*program, self.site_dir(name)], environment)

    def tail(self, name, lines=15):
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def check_alive(self, names=None):
        for name, process in self.processes.items():
            if (names is None or name in names) and process.poll() not in (None, 0):
                raise CommandFailed(f"{name} exited with {process.returncode}; its last lines:\n{self.tail(name)}")

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # --- the steps of a federation ---------------------------------------------------------------------------------------
    def found(self, sites):
        """Makes the coordinator and enrols `sites`: name -> (site.toml path, declared size)."""
        self.coordinator("init", "--listen", f"tcp://127.0.0.1:{free_port()}")
        codes = {name: self.coordinator("invite", name, "--json") for name in sites}
        self.serve()
        wait_until(lambda: (self.coordinator_dir / "endpoint").exists(), 20, "the coordinator to listen", self.check_alive)
        for name, (config, size) in sites.items():
            code = json.loads(codes[name].stdout)["code"]
            self.client(name, "join", code, "--config", config, "--declared-size", size, "--yes")
            self.coordinator("approve", name)

    def submit(self, plan):
        return json.loads(self.coordinator("submit", plan, "--json").stdout)["run"]

    def runs(self):
        return json.loads(self.coordinator("runs", "--json").stdout)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds, what, check=lambda: None):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        check()
        time.sleep(0.1)
    raise CommandFailed(f"gave up waiting {seconds} s for {what}")


def main_guard(function):
    """Runs a script's main: one clear line instead of a traceback for what users can cause; killed, it stops what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(function())
    except CommandFailed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
