"""A server on this machine that does to a download what lines and servers do."""

import contextlib
import hashlib
import http.server
import re
import threading
import time


class Lossy(http.server.ThreadingHTTPServer):
    """Serves `files` (path -> bytes), with ranges and tags. Every answer takes the first of `faults`, if there is one:

    cut (half of what was promised, then the line drops), drop (nothing at all), 503, 429, no-ranges (the whole file
    whatever was asked), other-range (another part than was asked for), html (a page), slow (silence after a tenth),
    longer (promises ten bytes more than there are), shorter (promises ten bytes less), untagged (no version named).
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files, self.faults, self.ranges_asked, self.headers_seen = dict(files), [], [], []
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.whole_time = False  # whether the first fault stays

    def next_fault(self):
        if not self.faults:
            return None
        return self.faults[0] if self.whole_time else self.faults.pop(0)


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(self.path.split("?")[0])
        if callable(content):
            return content(self)
        asked = self.headers.get("Range")
        self.server.ranges_asked.append(asked)
        self.server.headers_seen.append(dict(self.headers))
        fault = self.server.next_fault()
        if fault == "drop":
            return self.connection.close()
        if fault in ("503", "429"):
            self.send_response(int(fault))
            self.send_header("Retry-After", "0")
            return self.end_headers()
        if content is None:
            return self.send_error(404)
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and fault != "no-ranges" else 0
        if self.headers.get("If-Range") not in (None, tag) and fault != "ignores-if-range":
            start = 0
        if start >= len(content) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            return self.end_headers()
        if fault == "other-range":
            start //= 2
        promised = len(content) - start + {"longer": 10, "shorter": -10}.get(fault, 0)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(promised))
        self.send_header("Content-Type", "text/html; charset=utf-8" if fault == "html" else "application/octet-stream")
        if fault != "untagged":
            self.send_header("ETag", tag)
        self.end_headers()
        body = content[start:]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fault == "slow":
                self.wfile.write(body[: len(body) // 10])
                time.sleep(1.0)
            elif fault == "cut":
                self.wfile.write(body[: len(body) // 2])
            else:
                self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(files):
    """The server, while it serves."""
    with Lossy(files) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
