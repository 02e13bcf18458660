"""One trace through both languages: OpenTelemetry's own instrumentation of Celery writes the context that our workers pass on, and
finds it where theirs and ours left it."""
import unittest

from opentelemetry import propagate, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.celery import celery_getter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import fleet
from harness import PATIENCE

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FIELDS = ["traceparent", "tracestate"]

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class Traces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(cls.spans))
        trace.set_tracer_provider(provider)
        cls.instrumentor = CeleryInstrumentor()
        cls.instrumentor.instrument(tracer_provider=provider)
        cls.addClassCleanup(cls.instrumentor.uninstrument)
        cls.tracer = trace.get_tracer(__name__)

    def setUp(self):
        self.spans.clear()

    def headers_of(self, result):
        return result.get(timeout=PATIENCE)["headers"]

    def as_span(self, headers):
        """What the instrumentation of a Python worker makes of a request with these headers."""
        class Request:
            pass
        request = Request()
        vars(request).update(headers)
        context = propagate.extract(request, getter=celery_getter)
        return trace.get_current_span(context).get_span_context()

    def test_a_task_is_the_child_of_the_span_that_sent_it(self):
        for queue in ("py", "cpp"):
            with self.subTest(queue), self.tracer.start_as_current_span("request"):
                self.spans.clear()
                headers = self.headers_of(fleet.tasks.about.apply_async((FIELDS,), queue=queue))
                sending, = self.spans.get_finished_spans()
                seen = self.as_span(headers)
                self.assertEqual((seen.trace_id, seen.span_id), (sending.context.trace_id, sending.context.span_id))

    def test_steps_of_a_chain_belong_to_it(self):
        with self.tracer.start_as_current_span("request") as request:
            about = fleet.tasks.about.si(FIELDS)
            for first, second in (("cpp", "py"), ("cpp", "cpp")):
                with self.subTest(first=first, second=second):
                    chain = fleet.tasks.add.si(1, 2).set(queue=first) | about.clone().set(queue=second)
                    seen = self.as_span(self.headers_of(chain.apply_async()))
                    self.assertEqual(seen.trace_id, request.get_span_context().trace_id)

    def test_what_a_lovage_client_sends_is_found(self):
        for queue in ("py", "cpp"):
            with self.subTest(queue):
                about = fleet.client.call("tasks.about", FIELDS, queue=queue,
                                          headers={"traceparent": PARENT, "tracestate": "a=b"})
                seen = self.as_span(about["headers"])
                self.assertEqual((f"{seen.trace_id:032x}", f"{seen.span_id:016x}", seen.trace_state.get("a")),
                                 (PARENT[3:35], PARENT[36:52], "b"))


if __name__ == "__main__":
    fleet.main()
