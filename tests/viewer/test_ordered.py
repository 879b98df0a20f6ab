"""What is sent to a page arrives in order, also where several threads send at once."""

import socket
import threading

import pytest
import viser
from page_client import PageClient
from viser.infra import Message

from inr_plugins.viewer.ordered import keep_order


class Note(Message):
    """A message that is known by what it says."""

    def __init__(self, words):
        self.words = words

    def redundancy_key(self):
        return str(self.words)


@pytest.fixture
def server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
    keep_order(made)
    yield made
    made.stop()


def handlers(server):
    """Of all pages, and of one that has opened."""
    yield server._websock_server
    with PageClient(server.get_port()) as page:
        assert page.wait(lambda: bool(server.get_clients()))
        yield next(iter(server.get_clients().values()))._websock_connection


def sent_by(handler, messages):
    """The list that what is sent is put into, in the place of the line to the browsers."""
    handler.unsafe_send_message = lambda note: messages.append(note.words)
    return messages


class Later:
    """An executor whose threads have not come to it yet."""

    def __init__(self):
        self.jobs = []

    def submit(self, call, **options):
        self.jobs.append(lambda: call(**options))


def test_a_message_waits_for_those_before_it_where_somebody_else_was_sending(server):
    for handler in handlers(server):
        sent, later = [], Later()

        def send(note, handler=handler, sent=sent):
            if note.words == "slow":
                # Another thread's message, at the moment at which this one is being sent.
                other = threading.Thread(target=handler.queue_message, args=(Note("being made ready"),))
                other.start()
                other.join(30)
            sent.append(note.words)

        handler.unsafe_send_message, executor, handler._thread_executor = send, handler._thread_executor, later
        handler.queue_message(Note("slow"))
        handler.queue_message(Note("done"))
        for job in later.jobs:
            job()
        handler._thread_executor = executor
        assert sent == ["slow", "being made ready", "done"]


def test_many_threads_lose_nothing_and_each_keeps_its_order(server):
    for handler in handlers(server):
        sent = sent_by(handler, [])

        def send(number, handler=handler):
            for k in range(400):
                handler.queue_message(Note((number, k)))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert wait_for(lambda sent=sent: len(sent) == 1600)
        for number in range(4):
            assert [k for who, k in sent if who == number] == list(range(400))


def test_what_is_sent_together_waits_for_its_end(server):
    handler = server._websock_server
    sent = sent_by(handler, [])
    with server.atomic():
        handler.queue_message(Note("one"))
        handler.queue_message(Note("two"))
        assert sent == []
    assert wait_for(lambda: len(sent) == 2)
    assert sent == ["one", "two"]


def test_what_is_no_server_of_visers_is_left_alone():
    class Other:
        _websock_server = None

    keep_order(Other())
    assert Other._websock_server is None


def wait_for(condition, seconds=30):
    return PageClient.wait(None, condition, seconds)
