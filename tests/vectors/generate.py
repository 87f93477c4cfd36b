#!/usr/bin/env python3
"""A second implementation of the stored format, from docs/format.md, over OpenSSL.

It made the known-answer vectors beside it, so that they do not merely repeat what the Rust code does:

    pip install cryptography
    python3 tests/vectors/generate.py tests/vectors

Vectors are append-only. The script therefore writes files that are absent, and checks that those that are
present hold all that it would write. New cases go to the end of a list.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MODES = {"randomized": 0, "deterministic": 1}


def hkdf(key, info, length):
    return HKDF(hashes.SHA256(), length, None, info).derive(key)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xaes_subkey(key, prefix):
    block = Cipher(algorithms.AES(key), modes.ECB())
    encrypt = lambda data: block.encryptor().update(data)
    first = int.from_bytes(encrypt(bytes(16)), "big")
    doubled = (first << 1) & (2**128 - 1)
    k1 = (doubled ^ (0x87 if first >> 127 else 0)).to_bytes(16, "big")
    return b"".join(encrypt(xor(bytes([0, i, 0x58, 0]) + prefix, k1)) for i in (1, 2))


def xaes(key, nonce, plaintext, aad):
    return AESGCM(xaes_subkey(key, nonce[:12])).encrypt(nonce[12:], plaintext, aad)


def key_id(key):
    return hkdf(key, b"pgseal/v1/id", 4)


def derive(key, purpose, family, context, length):
    info = b"pgseal/v1/" + purpose + b"\0" + family.encode() + b"\0" + context.encode()
    return hkdf(key, info, length)


def envelope(key, mode, family, context, canonical, nonce=None):
    header = bytes([0xE5, 1 << 4 | MODES[mode]]) + key_id(key)
    aad = header + context.encode()
    if mode == "randomized":
        return header + nonce + xaes(derive(key, b"seal", family, context, 32), nonce, canonical, aad)
    return header + AESSIV(derive(key, b"siv", family, context, 64)).encrypt(canonical, [aad])


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def wrap(kek, nonce, name, key):
    aad = b"pgseal/v1/wrap\0" + name.encode() + b"\0" + key_id(key)
    return nonce + xaes(kek, nonce, key, aad)


def stream(label, length):
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(label.encode()).digest(length)


def xaes_vectors():
    rows = []
    published = [
        (b"\x01" * 32, b"", "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
         "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\x03" * 32, b"c2sp.org/XAES-256-GCM", "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
         "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ]
    for key, aad, subkey, ciphertext in published:
        nonce, plaintext = b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM"
        assert xaes_subkey(key, nonce[:12]).hex() == subkey
        assert xaes(key, nonce, plaintext, aad).hex() == ciphertext
        rows.append(dict(key=key.hex(), nonce=nonce.hex(), aad=aad.hex(), plaintext=plaintext.hex(),
                         subkey=subkey, ciphertext=ciphertext))
    accumulated = [
        dict(iterations=10_000, hash="e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"),
    ]
    for row in accumulated:
        assert xaes_accumulated(row["iterations"]) == row["hash"]
    return dict(
        about="XAES-256-GCM: the published vectors of C2SP, single and accumulated. The nonce is whole (24 bytes).",
        source="https://c2sp.org/XAES-256-GCM",
        vectors=rows,
        accumulated=accumulated,
    )


def xaes_accumulated(iterations):
    data, at = hashlib.shake_128(b"").digest(iterations * 600), 0
    total = hashlib.shake_128()

    def take(n):
        nonlocal at
        at += n
        return data[at - n : at]

    for _ in range(iterations):
        key, nonce = take(32), take(24)
        plaintext = take(take(1)[0])
        aad = take(take(1)[0])
        total.update(xaes(key, nonce, plaintext, aad))
    return total.hexdigest(32)


def siv_vectors():
    rfc = [
        dict(
            name="RFC 5297, A.1",
            key="fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
            aad=["101112131415161718191a1b1c1d1e1f2021222324252627"],
            plaintext="112233445566778899aabbccddee",
            sealed="85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c",
        ),
        dict(
            name="RFC 5297, A.2",
            key="7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
            aad=[
                "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
                "102030405060708090a0",
                "09f911029d74e35bd84156c5635688c0",
            ],
            plaintext="7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553",
            sealed="7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17"
            "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d",
        ),
    ]
    own = []
    for n, (lengths, size) in enumerate([([24], 14), ([40, 10, 16], 47), ([0], 0), ([6], 0), ([30], 1), ([30], 15),
                                         ([30], 16), ([30], 17), ([31], 100), ([200], 4096)]):
        own.append(dict(
            name=f"OpenSSL, AES-256, {n + 1}",
            key=stream(f"siv key {n}", 64).hex(),
            aad=[stream(f"siv aad {n} {i}", length).hex() for i, length in enumerate(lengths)],
            plaintext=stream(f"siv plaintext {n}", size).hex(),
        ))
    for row in rfc + own:
        aad = [bytes.fromhex(part) for part in row["aad"]]
        sealed = AESSIV(bytes.fromhex(row["key"])).encrypt(bytes.fromhex(row["plaintext"]), aad).hex()
        assert row.setdefault("sealed", sealed) == sealed, row["name"]
    return dict(
        about="AES-SIV: the vectors of RFC 5297 have keys of 32 bytes (AES-128); those of 64 bytes (AES-256, what is "
        "stored) were computed by OpenSSL through generate.py. `sealed` is synthetic IV and ciphertext.",
        source="https://www.rfc-editor.org/rfc/rfc5297",
        vectors=rfc + own,
    )


def canonical_values():
    micros = lambda n: struct.pack(">q", n)
    return [
        ("text", "public.users.email", "alice@example.com".encode()),
        ("text", "public.users.email", b""),
        ("text", "public.users.note", "naïve — 日本語 🦭 e\u0301".encode()),
        ("text", "other.users.email", "alice@example.com".encode()),
        ("text", '"a.b".c.d', b"quoted"),
        ("text", 'a."b.c".d', b"quoted"),
        ("text", '"Odd ""Schema""".t."Größe"', b"unicode in the context"),
        ("text", "a named context", b"shared"),
        ("text", "", b"no context"),
        ("text", "with\0NUL", b"NUL in the context"),
        ("text", "public.t.long", stream("long text", 500).hex().encode()),
        ("int", "public.t.n", struct.pack(">q", 42)),
        ("int", "public.t.n", struct.pack(">q", -(2**63))),
        ("bool", "public.t.b", b"\x01"),
        ("float", "public.t.f", struct.pack(">d", -0.0)),
        ("numeric", "public.t.amount", bytes.fromhex("0002 0000 0000 0002 000c 0d48")),
        ("date", "public.t.born", struct.pack(">i", -10957)),
        ("time", "public.t.at", micros(86_399_999_999)),
        ("timestamp", "public.t.at", micros(2**63 - 1)),
        ("timestamptz", "public.t.at", micros(757_382_400_000_000)),
        ("interval", "public.t.span", struct.pack(">iiq", 14, 3, 1_000_000)),
        ("uuid", "public.t.id", bytes(range(16))),
        ("inet", "public.t.ip", bytes.fromhex("02200004c0000201")),
        ("cidr", "public.t.net", bytes.fromhex("02180104c0000200")),
        ("macaddr", "public.t.mac", bytes.fromhex("08002b010203")),
        ("bytes", "public.t.raw", bytes(range(256))),
        ("json", "public.t.doc", b'{ "a" : 1,  "a": 2 }'),
        ("jsonb", "public.t.doc", b'{"a": 2}'),
        ("int[]", "public.t.ns", bytes.fromhex("00000001 00000000 00000000 00000001 00000001 00000008 000000000000002a")),
    ]


def envelope_vectors():
    rows = []
    for k, key in enumerate([bytes(range(32)), stream("data key", 32)]):
        for n, (family, context, canonical) in enumerate(canonical_values()):
            for mode in MODES:
                row = dict(data_key=key.hex(), key_id=key_id(key).hex(), mode=mode, family=family, context=context,
                           canonical=canonical.hex())
                nonce = None
                if mode == "randomized":
                    nonce = stream(f"nonce {k} {n}", 24)
                    row["nonce"] = nonce.hex()
                sealed = envelope(key, mode, family, context, canonical, nonce)
                row.update(envelope=sealed.hex(), text="pgs1." + b64(sealed))
                rows.append(row)
    return dict(
        about="Envelopes of format version 1, computed by generate.py from docs/format.md over OpenSSL, independently "
        "of the Rust code. Not every family is allowed in every mode by a policy; the format takes them all. Append only.",
        vectors=rows,
    )


def keyring_vectors():
    kek, other = stream("kek", 32), stream("other kek", 32)
    names = [("default", 1, "retiring"), ("default", 2, "active"), ("default", 3, "staged"), ("health", 1, "active"),
             ("old.one_2-x", 1, "archived"), ("old.one_2-x", 2, "destroyed")]
    rows, text = [], 'version = 1\nkek = "file:kek"\n'
    for n, (name, version, state) in enumerate(names):
        key = stream(f"keyring {n}", 32)
        wrapped = wrap(kek, stream(f"wrap nonce {n}", 24), name, key)
        rows.append(dict(name=name, version=version, state=state, id=key_id(key).hex(), data_key=key.hex(),
                         wrapped=wrapped.hex()))
        text += f'\n[[key]]\nname = "{name}"\nversion = {version}\nid = "{key_id(key).hex()}"\nstate = "{state}"\n'
        text += "created = 2026-01-31T12:00:00Z\nsince = 2026-02-01T00:00:00Z\n"
        if state != "destroyed":
            text += f'\n[[key.wrap]]\nkek = "file:kek"\nkey = "{b64(wrapped)}"\n'
        if n == 1:
            second = wrap(other, stream("second wrap", 24), name, key)
            text += f'\n[[key.wrap]]\nkek = "file:other"\nkey = "{b64(second)}"\n'
    return dict(
        about="A keyring file of version 1 and the keys in it, computed by generate.py from docs/format.md over OpenSSL. "
        "`kek` is the content of the file `kek` beside it. Every release reads it. Append only.",
        kek=kek.hex(),
        keyring=text,
        keys=rows,
    )


def holds(present, wanted):
    if isinstance(present, list):
        return all(any(p == w for p in present) for w in wanted)
    if isinstance(present, dict):
        return all(key in present and holds(present[key], wanted[key]) for key in wanted)
    return present == wanted


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, make in [("xaes-256-gcm", xaes_vectors), ("aes-siv", siv_vectors), ("envelope-v1", envelope_vectors),
                       ("keyring-v1", keyring_vectors)]:
        path, wanted = folder / f"{name}.json", make()
        if path.exists():
            assert holds(json.loads(path.read_text()), wanted), f"{path} differs"
            print(f"{path}: as expected")
        else:
            path.write_text(json.dumps(wanted, indent=1, ensure_ascii=True) + "\n")
            print(f"{path}: written")


main()
