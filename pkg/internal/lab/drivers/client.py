"""Carries out a plan with one of Python's TLS clients: client.py STACK PLAN."""

import asyncio
import os
import ssl
import sys
import time
from urllib.parse import urlsplit


class Plan:
    def __init__(self, path):
        self.head, self.steps = {}, []
        for line in open(path):
            verb, *rest = line.split()
            if verb in ("url", "trust", "identity", "nameless", "sessions"):
                self.head[verb] = rest
            else:
                self.steps.append((verb, rest))
        self.url = self.head["url"][0]
        self.trust = self.head["trust"][0]
        self.identity = self.head.get("identity")

    def context(self):
        if self.trust == "any":
            ctx = ssl._create_unverified_context()
        else:
            ctx = ssl.create_default_context(cafile=self.trust)
        if self.identity:
            ctx.load_cert_chain(*self.identity)
        return ctx


def walk(plan, request, fresh):
    for verb, args in plan.steps:
        if verb == "sleep":
            time.sleep(int(args[0]) / 1000)
        elif verb == "fresh":
            fresh()
        elif verb == "get":
            request("GET", plan.url + args[0], None)
        elif verb == "post":
            request("POST", plan.url + args[0], os.urandom(int(args[1])))
        else:
            sys.exit(f"step {verb} is not for this client")


def with_requests(plan):
    import requests

    requests.packages.urllib3.disable_warnings()
    made = {}

    def fresh():
        if made:
            made.pop("s").close()

    def request(method, url, data):
        if not made:
            made["s"] = requests.Session()
            made["s"].verify = False if plan.trust == "any" else plan.trust
            made["s"].trust_env = False
            made["s"].cert = tuple(plan.identity) if plan.identity else None
        made["s"].request(method, url, data=data, timeout=30)

    walk(plan, request, fresh)
    fresh()


def with_httpx(plan):
    import httpx

    made = {}

    def fresh():
        if made:
            made.pop("c").close()

    def request(method, url, data):
        if not made:
            made["c"] = httpx.Client(http2=True, verify=plan.context(), trust_env=False, timeout=30)
        made["c"].request(method, url, content=data)

    walk(plan, request, fresh)
    fresh()


def with_aiohttp(plan):
    import aiohttp

    async def go():
        session = None
        for verb, args in plan.steps:
            if verb == "sleep":
                await asyncio.sleep(int(args[0]) / 1000)
                continue
            if verb == "fresh":
                if session:
                    await session.close()
                session = None
                continue
            if session is None:
                session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=plan.context()))
            data = os.urandom(int(args[1])) if verb == "post" else None
            async with session.request(verb.upper(), plan.url + args[0], data=data) as r:
                await r.read()
        if session:
            await session.close()

    asyncio.run(go())


def with_urllib(plan):
    import urllib.error
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=plan.context()))

    def request(method, url, data):
        try:
            with opener.open(urllib.request.Request(url, data=data, method=method), timeout=30) as r:
                r.read()
        except urllib.error.HTTPError as err:
            err.read()

    walk(plan, request, lambda: None)


def with_pycurl(plan):
    import pycurl

    c = pycurl.Curl()
    sink = lambda data: None

    def fresh():
        c.setopt(pycurl.FRESH_CONNECT, 1)

    def request(method, url, data):
        c.setopt(pycurl.URL, url)
        c.setopt(pycurl.WRITEFUNCTION, sink)
        c.setopt(pycurl.PROXY, "")
        if plan.trust == "any":
            c.setopt(pycurl.SSL_VERIFYPEER, 0)
            c.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            c.setopt(pycurl.CAINFO, plan.trust)
        if plan.identity:
            c.setopt(pycurl.SSLCERT, plan.identity[0])
            c.setopt(pycurl.SSLKEY, plan.identity[1])
        if data is None:
            c.setopt(pycurl.HTTPGET, 1)
        else:
            c.setopt(pycurl.POSTFIELDS, data)
        c.perform()
        c.setopt(pycurl.FRESH_CONNECT, 0)

    walk(plan, request, fresh)
    c.close()


def with_ssl(plan):
    """The bare protocol: 4 bytes of length each way, then the bytes."""
    import socket

    to = urlsplit(plan.url)
    ctx, conn = plan.context(), None
    for verb, args in plan.steps:
        if verb == "sleep":
            time.sleep(int(args[0]) / 1000)
        elif verb == "fresh":
            conn.close()
            conn = None
        else:
            if conn is None:
                raw = socket.create_connection((to.hostname, to.port or 443), timeout=30)
                conn = ctx.wrap_socket(raw, server_hostname=None if "nameless" in plan.head else to.hostname)
            n, m = int(args[0]), int(args[1])
            conn.sendall(n.to_bytes(4, "big") + m.to_bytes(4, "big") + os.urandom(n))
            while m > 0:
                got = conn.recv(min(m, 1 << 16))
                if not got:
                    sys.exit("server closed")
                m -= len(got)
    if conn:
        conn.close()


if __name__ == "__main__":
    globals()["with_" + sys.argv[1]](Plan(sys.argv[2]))
