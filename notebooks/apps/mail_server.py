"""A mail server that takes 1.5 s to accept a mail, and throws it away.

python mail_server.py
"""

import time
from socketserver import StreamRequestHandler, ThreadingTCPServer

SECONDS = 1.5


class Conversation(StreamRequestHandler):
    def handle(self):
        self.say("220 ready")
        for line in self.rfile:
            match line[:4].upper().strip():
                case b"DATA":
                    self.say("354 go on")
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    time.sleep(SECONDS)  # looks for spam, say
                    self.say("250 accepted")
                case b"QUIT":
                    self.say("221 bye")
                    break
                case _:
                    self.say("250 ok")

    def say(self, line):
        self.wfile.write(f"{line}\r\n".encode())


class MailServer(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100


if __name__ == "__main__":
    with MailServer(("127.0.0.1", 0), Conversation) as server:
        print("listening on 127.0.0.1:{1}".format(*server.server_address), flush=True)
        server.serve_forever()
