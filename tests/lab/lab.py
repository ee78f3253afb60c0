"""Everything of the lab that outlives a test thread: AWS (moto), real sshd, daemons under test.

Reads one JSON request a line from standard input and answers each with one JSON line. When its
input ends, which it does however the test process dies, it ends every process that it started and
all their descendants, and then itself.

usage: lab.py FOLDER        (which is removed in the end, with all that the tests put there)
"""
from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SSHD = "/usr/sbin/sshd"
LOGIN = "dbtest"
LOGIN_HOME = "/var/lib/dbtest"
PR_SET_CHILD_SUBREAPER = 36


def login_name() -> str:
    """The OS user that sessions run as: one of their own, or ourselves where we are not root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    with open("/run/lock/drawbridge-lab.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            pwd.getpwnam(LOGIN)
        except KeyError:  # no password, yet not locked: sshd lets it in by key without PAM
            subprocess.run(["useradd", "--create-home", "--home-dir", LOGIN_HOME, "--shell", "/bin/bash",
                            "--password", "*", LOGIN], check=True)
    return LOGIN


def children() -> dict[int, list[int]]:
    tree: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            tree.setdefault(int(stat[stat.rindex(")") + 2:].split()[1]), []).append(int(name))
    return tree


def descendants(pid: int) -> list[int]:
    tree, found, todo = children(), [], [pid]
    while todo:
        below = tree.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def free_port(ip: str) -> int:
    with socket.socket() as s:
        s.bind((ip, 0))
        return s.getsockname()[1]


class Lab:
    def __init__(self, folder: Path):
        import aws_lab  # seconds of imports: only when there is work

        self.folder, self.login = folder, login_name()
        (folder / "keys").mkdir(parents=True)
        (folder / "calls").mkdir()
        for readable in (folder, folder / "keys", folder / "calls"):
            readable.chmod(0o755)
        self.running: dict[int, subprocess.Popen] = {}
        self.networks: list[str] = []
        self.sockets: list[socket.socket] = []
        self.aws = aws_lab.AwsLab(folder / "keys")

    # ── what a request may ask ────────────────────────────────────────────────

    def hello(self) -> dict:
        return {"url": self.aws.url, "login": self.login}

    def aws_call(self, call: str, **arguments):
        return getattr(self.aws, call)(**arguments)

    def free_port(self, ip: str) -> int:
        return free_port(ip)

    def spawn(self, argv: list[str], env: dict[str, str], out: str, err: str) -> int:
        with open(out, "ab") as o, open(err, "ab") as e:
            child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *argv], env=env,
                                     stdin=subprocess.DEVNULL, stdout=o, stderr=e, start_new_session=True)
        self.running[child.pid] = child
        return child.pid

    def status(self, pid: int) -> int | None:
        return self.running[pid].poll()

    def signal(self, pid: int, number: int) -> None:
        if self.running[pid].poll() is None:
            os.kill(pid, number)

    def descendants(self, pid: int) -> list[int]:
        return descendants(pid)

    def end(self, pid: int) -> int:
        """Kills the process and all below it; answers how it ended."""
        child = self.running.pop(pid, None)
        if child is None:
            return 0
        kill([*descendants(pid), pid], signal.SIGKILL)
        return child.wait()

    def sshd(
        self, instance: str, ip: str, port: int, extra: str = "", ahead: int = 0, certified: dict | None = None
    ) -> dict:
        """A real sshd as one instance, which lets in what was pushed to that instance, by a clock so many seconds ahead;
        its host key may be certified."""
        base = self.folder / f"sshd-{instance}"
        base.mkdir(exist_ok=True)  # an instance that comes back has another host key
        host_key = base / "host_key"
        host_key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", instance, "-f", str(host_key)], check=True)
        if certified:
            subprocess.run(["ssh-keygen", "-q", "-s", certified["ca"], "-h", "-I", instance, *certified["options"],
                            str(host_key.with_suffix(".pub"))], check=True)
            extra += f"\nHostCertificate {base}/host_key-cert.pub"
        calls = self.folder / "calls" / instance
        agent = f"/bin/sh {HERE}/authorized_keys_command.sh {self.folder}/keys {calls} {instance} %u %f {ahead}"
        (base / "sshd_config").write_text("\n".join([
            extra,  # first: sshd takes the first value it finds
            f"ListenAddress {ip}:{port}",
            f"HostKey {host_key}",
            "PidFile none",
            f"AuthorizedKeysCommand {agent}",
            f"AuthorizedKeysCommandUser {pwd.getpwuid(os.geteuid()).pw_name}",
            "AuthorizedKeysFile none",
            "StrictModes no",
            "UsePAM no",
            "UseDNS no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            f"AllowUsers {self.login}",
            *([] if "MaxStartups" in extra else ["MaxStartups 1000"]),  # of this one, sshd takes the last value
            "MaxSessions 1000",
            "AcceptEnv DB_*",
            "PrintMotd no",
            "PrintLastLog no",
            "LogLevel VERBOSE",
            "Subsystem sftp internal-sftp",
            "",
        ]))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = str(base / "log")
        pid = self.spawn([SSHD, "-D", "-e", "-f", str(base / "sshd_config")], dict(os.environ), log, log)
        self.wait_for_port(pid, ip, port, log)
        return {"pid": pid, "log": log, "calls": str(calls), "host_key": host_key.with_suffix(".pub").read_text().strip()}

    def stuffed(self, ip: str) -> int:
        """A port at which packets are dropped: its queue of connections is full and nobody takes one out."""
        listener = socket.socket()
        listener.bind((ip, 0))
        listener.listen(0)
        self.sockets.append(listener)
        for _ in range(16):
            client = socket.socket()
            client.settimeout(1)
            self.sockets.append(client)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                return listener.getsockname()[1]
        raise RuntimeError("the queue of connections has no end")

    def wait_for_port(self, pid: int, ip: str, port: int, log: str, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection((ip, port), 1).close()
                return
            except OSError:
                if self.status(pid) is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nothing listens on {ip}:{port}: {Path(log).read_text()}") from None
                time.sleep(0.02)

    def network(self) -> dict:
        """A network of its own beside the machine's: what is not the bastion's own machine. Only root can make one."""
        number = len(self.networks) + 1
        name = f"db-{os.getpid()}-{number}"
        ours, theirs = f"dbo{os.getpid()}-{number}"[:15], f"dbt{os.getpid()}-{number}"[:15]
        try:  # other tests on this machine may have networks too
            taken = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True).stdout
        except FileNotFoundError:
            return {"missing": "there is no `ip` (Debian package iproute2)"}
        blocks = (f"10.{100 + (os.getpid() + n) % 100}.{number}" for n in range(100))
        block = next((block for block in blocks if f" {block}." not in taken), None)
        if block is None:
            return {"missing": "every block of addresses for it is taken"}
        steps = [
            ["netns", "add", name],
            ["link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name],
            ["addr", "add", f"{block}.1/24", "dev", ours],
            ["link", "set", ours, "up"],
            *(["-n", name, "addr", "add", f"{block}.{n}/24", "dev", theirs] for n in (2, 3)),
            ["-n", name, "link", "set", theirs, "up"],
            ["-n", name, "link", "set", "lo", "up"],
        ]
        self.networks.append(name)
        for step in steps:
            done = subprocess.run(["ip", *step], capture_output=True, text=True)
            if done.returncode != 0:
                return {"missing": f"`ip {' '.join(step)}` says: {done.stderr.strip()}"}
        return {"name": name, "ours": f"{block}.1", "theirs": [f"{block}.2", f"{block}.3"], "block": f"{block}.0/24"}

    def echo(self, network: str, ip: str, port: int) -> int:
        """A service in a network that answers with what it is told, and at the end with how much that was."""
        log = str(self.folder / f"echo-{network}-{port}.log")
        pid = self.spawn(["ip", "netns", "exec", network, sys.executable, str(HERE / "echo.py"), ip, str(port)],
                         dict(os.environ), log, log)
        self.wait_for_port(pid, ip, port, log)
        return pid

    def remove_networks(self) -> None:
        for name in self.networks:
            try:  # its interfaces go with it, and their other ends with them
                subprocess.run(["ip", "netns", "del", name], capture_output=True)
            except FileNotFoundError:
                return

    # ── the loop ──────────────────────────────────────────────────────────────

    def answer(self, line: str) -> dict:
        try:
            request = json.loads(line)
            return {"ok": getattr(self, request.pop("do"))(**request)}
        except Exception as e:  # the test that asked shall see it, and the next one be served
            return {"error": f"{type(e).__name__}: {e}"}

    def end_everything(self) -> None:
        for _ in range(50):
            left = descendants(os.getpid())
            if not left:
                return
            kill(left, signal.SIGKILL)
            for child in self.running.values():
                child.poll()
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.02)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of the input is the one sign to leave
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print shall not look like an answer
    sys.path.insert(0, str(HERE))
    folder = Path(sys.argv[1])
    lab = Lab(folder / "lab")
    try:
        for line in sys.stdin:
            print(json.dumps(lab.answer(line)), file=answers)
    finally:
        lab.end_everything()
        lab.remove_networks()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
