"""The page with a server behind it: loopback only, one origin, Bokeh's own files served from here."""

import socket
import threading
from html import escape

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import Server

from pdelab.explorer.page import PRESETS, Page, gallery_loss, opening, table_of
from pdelab.explorer.table import loss_of

__all__ = ["connect", "make", "serve"]

ADDRESS = "127.0.0.1"


def serve(formula, lower, upper, *, port, show, on_ready):
    """Serve until interrupted; see `pdelab.explorer.serve`."""
    server = make(formula, lower, upper, port)
    address = f"http://{ADDRESS}:{server.port}/"
    server.start()
    threading.Thread(target=_warm, args=(lower, upper), daemon=True).start()
    if on_ready is not None:
        on_ready(address)
    if show:
        server.show("/")
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        server.stop()


def make(formula, lower, upper, port=0):
    """The server, not yet started; the table of the first loss is computed here, so that bad input is refused here."""
    if not 0 <= port < 65536:
        raise ValueError(f"port: expected a number from 0 to 65535, got {port}")
    loss = opening(formula, lower, upper)
    table_of(loss, lower, upper)
    port = _usable(port)
    application = Application(FunctionHandler(lambda document: connect(document, loss, lower, upper)))
    return Server(application, address=ADDRESS, port=port, allow_websocket_origin=[f"{ADDRESS}:{port}"])


def connect(document, loss, lower, upper):
    """One visitor's page, its callbacks attached; returns the Page."""
    page = Page(loss, lower, upper, live=True)
    for slider in (page.gamma, page.beta, page.diffusivity, page.start, page.clock):
        slider.on_change("value_throttled", lambda attribute, old, new: page.flow())
    for name, button in page.buttons.items():
        button.on_click(lambda name=name: _later(document, page, lambda: _preset(page, name)))
    page.formula.on_change("value", lambda attribute, old, new: _formula(document, page, new))
    page.document(document)
    page.place(0.5, 2.0, 0.1, lower + 0.7 * (upper - lower), 16.0)
    document.add_next_tick_callback(page.flow)
    return page


def _later(document, page, action):
    """Say that something is computed, then compute it; what is refused is said in words."""
    page.message.text = "computing the table"

    def act():
        page.message.text = ""
        try:
            action()
        except ValueError as error:
            page.message.text = escape(str(error))

    document.add_next_tick_callback(act)


def _preset(page, name):
    _, loss, gamma, beta, diffusivity, start, clock = PRESETS[name]
    page.show_table(gallery_loss(loss))
    page.place(gamma, beta, diffusivity, min(max(start, page.start.start), page.start.end), clock)
    page.flow()


def _formula(document, page, text):
    if text == page.loss.formula:
        return
    try:
        loss = loss_of(text, page.lower, page.upper)
    except ValueError as error:
        page.message.text = escape(str(error))
        return

    def action():
        page.show_table(loss)
        page.flow()

    _later(document, page, action)


def _warm(lower, upper):
    for name in dict.fromkeys(loss for _, loss, *_ in PRESETS.values()):
        table_of(gallery_loss(name), lower, upper)


def _usable(port):
    """A port that can be listened on, this one or for 0 a free one; ValueError says why not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
            probe.listen(1)
        except OSError as error:
            raise ValueError(f"port: {port} cannot be used ({error.strerror or error}); take another, or 0") from error
        return probe.getsockname()[1]
