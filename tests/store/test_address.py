"""REDIS_URL taken apart, and what is said of one that makes no sense."""

import pytest

from bot.store.address import Address, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", Address("server", (("host", 6379),))),
        ("redis://host:1/2", Address("server", (("host", 1),), db=2)),
        ("redis://host:1/?db=3", Address("server", (("host", 1),), db=3)),
        (
            "redis://me:p%40ss%2F@[::1]:1",
            Address("server", (("::1", 1),), login={"username": "me", "password": "p@ss/"}),
        ),
        ("unix:///run/redis.sock?db=1", Address("server", path="/run/redis.sock", db=1)),
        ("unix://:pw@/run/r.sock", Address("server", path="/run/r.sock", login={"password": "pw"})),
        ("rediss://host", Address("server", (("host", 6379),), tls={"ssl_check_hostname": True})),
        (
            "rediss://host/?ssl_check_hostname=false",
            Address("server", (("host", 6379),), tls={"ssl_check_hostname": False}),
        ),
        (
            "redis+sentinel://a,b:2/mymaster/1?sentinel_username=s&sentinel_password=x%26y",
            Address(
                "sentinel",
                (("a", 26379), ("b", 2)),
                service="mymaster",
                db=1,
                sentinel_login={"username": "s", "password": "x&y"},
            ),
        ),
        (
            "rediss+sentinel://u:p@a/main",
            Address(
                "sentinel",
                (("a", 26379),),
                service="main",
                tls={"ssl_check_hostname": True},
                login={"username": "u", "password": "p"},
            ),
        ),
        ("redis+cluster://a,b:7001", Address("cluster", (("a", 6379), ("b", 7001)))),
        ("rediss+cluster://a", Address("cluster", (("a", 6379),), tls={"ssl_check_hostname": True})),
    ],
)
def test_every_form_is_understood(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://:hunter2@host", "must be redis://"),
        ("redis+sentinels://:hunter2@host/x", "redis+sentinel://"),
        ("unix+cluster:///x", "must be redis://"),
        ("unix://", "unix:///path"),
        ("redis://:hunter2/x@host:6379", "%2F"),
        ("redis://:hunter2?x@host:6379", "%3F"),
        ("redis://:hunter2#x@host:6379", "%23"),
        ("redis://:hunter2@host:6379/0#x", "%23"),
        ("redis://:hunter2@host:port", "host:port"),
        ("redis://:hunter2@host:0", "host:port"),
        ("redis://:hunter2@", "host:port"),
        ("redis://:hunter2@[::1", "is no URL"),
        ("redis://:hunter2@ho st", "host:port"),
        ("redis://:hunter2@host/zero", "must be a number"),
        ("redis://:hunter2@host/0/1", "too much"),
        ("redis://:hunter2@a,b", "several servers"),
        ("redis://host/?ssl_ca_certs=/x", "rediss://"),
        ("unix:///r.sock?ssl_ca_certs=/x", "rediss://"),
        ("redis://host/?socket_timeout=1", "ssl_ca_certs"),
        ("redis://host/?sentinel_password=hunter2", "redis+sentinel:// only"),
        ("rediss://host/?ssl_ca_certs=/nowhere/ca.pem", "/nowhere/ca.pem cannot be read"),
        ("rediss://host/?ssl_check_hostname=maybe", "true or false"),
        ("redis+sentinel://:hunter2@host", "redis+sentinel://host:26379/mymaster"),
        ("redis+cluster://:hunter2@host/1", "database 0"),
    ],
)
def test_what_makes_no_sense_is_explained_without_repeating_a_password(url: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(url)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_no_password_in_the_representation() -> None:
    address = parse("redis+sentinel://:hunter2@h/s?sentinel_password=hunter2")
    assert "hunter2" not in repr(address)
