#!/usr/bin/env python3
"""Takes syslog over TLS (RFC 5425), each message with its length before it, and writes them down.

    syslog_receiver.py FOLDER PORT

The CA's certificate goes to FOLDER/ca.pem, and one line of JSON for each message to FOLDER/messages. A message counts
when it is whole. FOLDER/ca.pem is made by the first run; later ones use the same.
"""

import datetime
import ipaddress
import json
import socket
import ssl
import sys
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

folder, port = Path(sys.argv[1]), int(sys.argv[2])


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, *extensions):
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=30)))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_certificates():
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (folder / "server.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                          serialization.NoEncryption())
        + certificate("receiver", key, "test CA", ca_key,
                      (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)))
    ca = certificate("test CA", ca_key, "test CA", ca_key, (x509.BasicConstraints(True, None), True))
    (folder / "ca.new").write_bytes(ca)
    (folder / "ca.new").rename(folder / "ca.pem")


def take(peer, out):
    buffer = b""
    while piece := peer.recv(65536):
        buffer += piece
        while b" " in buffer:
            length, rest = buffer.split(b" ", 1)
            if len(rest) < int(length):
                break
            message, buffer = rest[:int(length)], rest[int(length):]
            out.write(json.dumps(message.decode()) + "\n")
            out.flush()


def serve(peer, context, out):
    try:
        with context.wrap_socket(peer, server_side=True) as tls:
            take(tls, out)
            tls.unwrap()
    except OSError:
        pass


if not (folder / "ca.pem").exists():
    make_certificates()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "server.pem")
listener = socket.create_server(("127.0.0.1", port))
messages = open(folder / "messages", "a", encoding="utf-8")
while True:
    threading.Thread(target=serve, args=[listener.accept()[0], context, messages], daemon=True).start()
