"""PostgreSQL servers on this machine, from Debian's packages, each with its own folder and port."""

import os
import re
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
log_min_messages = fatal
"""


class Postgres:
    """A server in its own folder, which can be stopped or killed, and created again."""

    def __init__(self, programs, folder, name, port):
        self.programs, self.name, self.port = programs, name, port
        self.log, self.folder = os.path.join(folder, f"{name}.log"), os.path.join(folder, name)
        # PostgreSQL refuses to run as root.
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def run(self, program, *arguments):
        """Runs one of PostgreSQL's programs, and returns its output. Exits if the program fails."""
        command = [*self.user, os.path.join(self.programs, program), *arguments]
        completed = subprocess.run(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if completed.returncode:
            raise SystemExit(f"{program} of {self.name} has failed: {completed.stdout}")
        return completed.stdout

    def make(self, **settings):
        """Creates the server's folder with additional settings, and starts the server."""
        self.run("initdb", "--pgdata", self.folder, "--username", "tier", "--auth", "trust", "--encoding", "UTF8")
        text = SETTINGS.format(port=self.port)
        with open(os.path.join(self.folder, "postgresql.conf"), "a") as file:
            file.write(text + "".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        self.start()

    def start(self):
        # The output goes to a file, because the server would keep a pipe open.
        command = [*self.user, os.path.join(self.programs, "pg_ctl"), "start", "--pgdata", self.folder, "--log", self.log]
        subprocess.run([*command, "--wait", "--silent"], cwd="/", check=True)

    def stop(self, mode):
        self.run("pg_ctl", "stop", "--pgdata", self.folder, "--mode", mode, "--wait", "--silent")

    def sql(self, statement):
        """Returns the rows of `statement` as text, without headers."""
        return self.run(
            "psql", "--host", "127.0.0.1", "--port", str(self.port), "--username", "tier", "--dbname", "postgres",
            "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement,
        ).strip()

    def wait_for_value(self, statement, expected):
        """Waits until `statement` returns `expected`. Exits if that takes longer than about a minute."""
        for _ in range(600):
            if self.sql(statement) == expected:
                return
            time.sleep(0.1)
        raise SystemExit(f"{self.name}: {statement} does not become {expected}: {self.sql(statement)}")

    def processes(self):
        """Returns the IDs of the server's main process and of its children."""
        with open(os.path.join(self.folder, "postmaster.pid")) as file:
            first = file.readline().strip()
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", first], stdout=subprocess.PIPE, text=True).stdout
        return [int(first), *map(int, listed.split())]

    def signal(self, number):
        """Sends a signal to all processes of the server."""
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """Kills all processes of the server with SIGKILL, to simulate a power failure."""
        ended = self.processes()
        self.signal(signal.SIGKILL)
        for process in ended:
            while is_running(process):
                time.sleep(0.01)
        # Until its parent waits for it, a killed process keeps its ID, and PostgreSQL would take it for a running server.
        os.remove(os.path.join(self.folder, "postmaster.pid"))

    def follow(self, primary):
        """Makes this server a synchronous standby of `primary`, from a base backup, and deletes its own data. From then on,
        each commit of `primary` waits until this server has stored it.
        """
        subprocess.run(["rm", "-rf", self.folder], check=True)
        primary.sql("CHECKPOINT")
        self.run(
            "pg_basebackup", "--pgdata", self.folder, "--write-recovery-conf", "--checkpoint", "fast",
            "--dbname", f"host=127.0.0.1 port={primary.port} user=tier application_name={self.name}",
        )
        path = os.path.join(self.folder, "postgresql.conf")
        with open(path) as file:
            text = re.sub(r"(?m)^port = .*$", f"port = {self.port}", file.read())
        with open(path, "w") as file:
            file.write(text)
        # Once promoted, this server must not wait for a standby, because it has none.
        with open(os.path.join(self.folder, "postgresql.auto.conf"), "a") as file:
            file.write("synchronous_standby_names = ''\n")
        self.start()
        primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{self.name}'")
        primary.sql("SELECT pg_reload_conf()")
        primary.wait_for_value("SELECT string_agg(sync_state, ' ') FROM pg_stat_replication", "sync")

    def promote(self):
        """Promotes this standby to primary."""
        self.run("pg_ctl", "promote", "--pgdata", self.folder, "--wait", "--silent")

    def cpu_seconds(self):
        """Returns the CPU time of all processes of the server, including those that have ended."""
        with open(os.path.join(self.folder, "postmaster.pid")) as file:
            first = int(file.readline())
        return sum(cpu_of(pid, pid == first) for pid in self.processes())


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_of(pid, with_ended=False):
    """Returns the CPU time of a process and, with `with_ended`, of the children that it has waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0
    return sum(int(field) for field in fields[11 : 15 if with_ended else 13]) / TICK
