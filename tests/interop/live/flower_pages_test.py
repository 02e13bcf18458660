"""What stock Flower's pages show of our workers, as Chromium shows them: on a fleet of ours and on one of both kinds. The pictures
are kept in build/flower; what is compared is the text in them."""
import atexit
import json
import unittest
import uuid

import browser
import fleet
from harness import HERE, PATIENCE, until
from stock_flower import Watched

PICTURES = HERE.parents[2] / "build" / "flower"
COLUMNS = ("name", "uuid", "state", "worker", "args", "kwargs", "result", "retries", "exception", "received", "started", "runtime",
           "revoked")
TABS = ("pool", "broker", "queues", "tasks", "limits", "config", "system", "other")
STAMP = r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
browsing: browser.Browser


def setUpModule():
    global browsing
    fleet.set_up(python=False, LOVAGE_WORKER_ETA_HORIZON="900")  # What is due within that time it holds itself.
    try:
        browsing = browser.Browser(fleet.stack)
    except BaseException:
        fleet.stack.close(failed=True)
        raise


def tearDownModule():
    browsing.close()
    fleet.tear_down()


class OnlyOurs(Watched):
    @classmethod
    def command(cls, management_url):
        return [*super().command(management_url), f"--tasks-columns={','.join(COLUMNS)}"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = f"http://127.0.0.1:{cls.port}"
        cls.gate = uuid.uuid4().hex[:8]
        cls.addClassCleanup(fleet.stack.open_gate, cls.gate)
        cls.ids = {queue: cls.run_all(queue) for queue in dict.fromkeys(cls.queues)}

    @classmethod
    def run_all(cls, queue):
        """A task in each state; their ids. Two hold the slots of the worker."""
        tasks = fleet.tasks
        ids = {"succeeded": tasks.add.apply_async((20,), {"y": 22}, queue=queue),
               "failed": tasks.fail.apply_async(("ValueError", "out of stock"), queue=queue),
               "retried": tasks.flaky.apply_async((1,), queue=queue)}
        for result in ids.values():
            result.get(timeout=PATIENCE, propagate=False)
        ids["revoked"] = tasks.hold.apply_async(("never",), queue=queue)
        seen = cls()
        seen.info(ids["revoked"].id, "STARTED")
        ids["revoked"].revoke(terminate=True, signal="SIGKILL")
        ids["scheduled"] = tasks.add.apply_async((1,), queue=queue, countdown=800)
        seen.info(ids["scheduled"].id, "RECEIVED")
        ids["started"], ids["beside"] = (tasks.hold.apply_async((cls.gate,), queue=queue) for _ in range(2))
        for key, state in (("succeeded", "SUCCESS"), ("failed", "FAILURE"), ("retried", "SUCCESS"), ("revoked", "REVOKED"),
                           ("started", "STARTED"), ("beside", "STARTED")):
            seen.info(ids[key].id, state)
        return {key: result.id for key, result in ids.items()}

    def tearDown(self):
        self.assertEqual(browsing.errors, [])
        browsing.errors.clear()

    def show(self, path, complete, what):
        """Opens a page and waits until its scripts have filled it."""
        browsing.open(f"{self.base}/{path}")
        return until(complete, what)

    def picture(self, name):
        browsing.picture(PICTURES / ("mixed" if self.mixed else "only-ours") / f"{name}.png")

    def nodes(self):
        return [self.node, self.python] if self.mixed else [self.node]

    # ---- Workers

    def test_the_list_of_workers(self):
        def row(node):
            return next((row for row in browsing.rows("#workers-table") if row and row[0] == node), None)

        def complete():  # A heartbeat, which tells what runs, is two seconds old at most; with one of four, Flower calls it offline.
            rows = [row(node) for node in self.nodes()]
            online = browsing.text("#workers-online") == str(len(rows))
            return online and all(rows) and all(row[1:3] == ["Online", "2"] for row in rows) and rows
        for cells in self.show("workers", complete, "the workers are listed with what runs"):
            with self.subTest(cells[0]):
                _, status, active, processed, failed, succeeded, load = cells
                self.assertEqual((status, active, failed), ("Online", "2", "1"))
                self.assertGreaterEqual(int(processed), 7)
                self.assertGreaterEqual(int(succeeded), 2)
                self.assertRegex(load, r"^\d+(\.\d+)?\s+\d+(\.\d+)?\s+\d+(\.\d+)?$")  # JavaScript shows 4.0 as 4.
        self.assertEqual(browsing.text("#workers-online"), str(len(self.nodes())))
        self.picture("workers")

    def tab(self, name):
        """The cells that a tab of the worker's page shows."""
        browsing.click(f"#worker-tab-{name}")
        until(lambda: browsing.is_opaque(f"#tab-{name}") and browsing.text(".worker-tabs .nav-link.active") == name.capitalize(),
              f"tab {name} is shown")
        return browsing.rows(f"#tab-{name}")

    def tabs(self, node):
        self.facts(node)  # The page asks anew, but waits a second only: what it shows then is no older than this.
        self.show(f"worker/{node}", lambda: browsing.text("#workername") == node, "the worker's page")
        shown = {}
        for name in TABS:
            shown[name] = self.tab(name)
            self.picture(f"{node.split('@')[0]}-{name}")
        return shown

    def test_every_tab_of_a_worker(self):
        shown = self.tabs(self.node)
        pool, broker, system, other = (dict(shown[name]) for name in ("pool", "broker", "system", "other"))
        self.assertEqual((pool["Max concurrency"], pool["Timeouts"]), ("2", "0, 0"))
        self.assertRegex(pool["Processes"], r"^\d+, \d+$")
        self.assertRegex(pool["Worker PID"], r"^\d+$")
        self.assertGreaterEqual(int(pool["Prefetch Count"]), 2)
        self.assertIn("'total': ", pool["Writes"])
        url = fleet.stack.broker_url
        self.assertEqual((broker["Hostname"], broker["Transport"], broker["Userid"]), ("127.0.0.1", "amqp", "guest"))
        self.assertEqual(f":{broker['Port']}/{broker['Virtual host']}", url[url.rindex(":"):])
        queues = {row[0]: row for row in shown["queues"][1:]}
        self.assertEqual(sorted(queues), ["cpp", "mixed"])
        self.assertEqual(queues["cpp"][1:5], ["False", "True", "cpp", "False"])
        tasks = dict(shown["limits"][1:][i][:2] for i in range(len(shown["limits"]) - 1))
        self.assertIn("tasks.add", tasks)
        self.assertIn("********", dict(shown["config"])["broker_url"])
        for name in ("utime", "stime"):
            self.assertRegex(system[name], r"^\d+(\.\d+)? (ms|s)$")
        self.assertGreater(int(system["maxrss"]), 1000)
        self.assertRegex(other["uptime"], r"^\d")
        self.look_at_tasks(shown["tasks"])

    def look_at_tasks(self, rows):
        """Of the tab: what has run, runs, waits and was revoked."""
        ids, cells = self.ids["cpp"], [cell for row in rows for cell in row]
        counts = {row[0]: row[1] for row in rows if len(row) == 2}
        self.assertGreaterEqual(int(counts["tasks.add"]), 1)
        self.assertGreaterEqual(int(counts["tasks.flaky"]), 2)
        active = {row[1]: row for row in rows if len(row) == 6}
        name, _, _, process, args, kwargs = active[ids["started"]]
        self.assertEqual((name, args, kwargs), ("tasks.hold", f"('{self.gate}',)", "{}"))
        self.assertRegex(process, r"^\d+$")
        for key in ("beside", "scheduled", "revoked"):
            self.assertIn(ids[key], cells)

    def test_buttons_of_a_worker(self):
        if not fleet.programs["worker"]:
            self.skipTest("a pool of Celery's does not shrink while its slots are busy")
        self.show(f"worker/{self.node}", lambda: browsing.text("#workername") == self.node, "the worker's page")
        for button, words in (("grow", f"Growing '{self.node}' worker's pool by 1"),
                              ("shrink", f"Shrinking '{self.node}' worker's pool by 1")):
            browsing.click(f"#worker-pool-{button}")
            until(lambda: words in browsing.text(), f"the page says: {words}")
        self.picture("shrinking")
        until(lambda: len(self.facts()["stats"]["pool"]["processes"]) == 2, "the slot has gone")

    # ---- Tasks

    def test_the_list_of_tasks(self):
        ids = {task_id for queue in self.ids.values() for task_id in queue.values()}

        def complete():
            rows = {row[1]: dict(zip(COLUMNS, row)) for row in browsing.rows("#tasks-table") if len(row) == len(COLUMNS)}
            return rows if ids <= set(rows) else None
        browsing.resize(2400)
        self.addCleanup(browsing.resize, 1400)
        rows = self.show("tasks", complete, "the tasks are listed")
        self.picture("tasks")
        for queue, of_queue in self.ids.items():
            with self.subTest(queue):
                self.look_at_rows({key: rows[task_id] for key, task_id in of_queue.items()},
                                  self.node if queue == "cpp" else self.python)

    def look_at_rows(self, rows, node):
        expected = {"succeeded": ("tasks.add", "SUCCESS", "(20,)", "{'y': 22}", "42", "0"),
                    "failed": ("tasks.fail", "FAILURE", "('ValueError', 'out of stock')", "{}", "", "0"),
                    "retried": ("tasks.flaky", "SUCCESS", "(1,)", "{}", "1", "1"),
                    "revoked": ("tasks.hold", "REVOKED", "('never',)", "{}", "", "0"),
                    "started": ("tasks.hold", "STARTED", f"('{self.gate}',)", "{}", "", "0"),
                    "scheduled": ("tasks.add", "RECEIVED", "(1,)", "{}", "", "0")}
        for key, values in expected.items():
            row = rows[key]
            self.assertEqual(tuple(row[name] for name in ("name", "state", "args", "kwargs", "result", "retries")), values)
            self.assertEqual(row["worker"], node)
            self.assertRegex(row["received"], STAMP)
            if key != "scheduled":
                self.assertRegex(row["started"], STAMP)
        for key in ("succeeded", "retried"):
            self.assertRegex(rows[key]["runtime"], r"^\d+(\.\d+)? (ms|s)$")
        self.assertRegex(rows["revoked"]["revoked"], STAMP)
        self.assertEqual(rows["failed"]["exception"], "ValueError('out of stock')")
        self.assertEqual(rows["retried"]["exception"], "RuntimeError('try again')")

    def task(self, task_id):
        """What the page of a task says: a map from label to text."""
        self.show(f"task/{task_id}", lambda: task_id in browsing.text(".task-uuid-value"), "the task's page")
        return json.loads(browsing.evaluate(
            "JSON.stringify(Object.fromEntries([...document.querySelectorAll('dt')].map("
            "term => [term.innerText.trim(), term.nextElementSibling.innerText.trim()])))"))

    def test_the_page_of_a_task(self):
        ids = self.ids["cpp"]
        facts = self.task(ids["succeeded"])
        self.picture("succeeded")
        self.assertEqual([facts[name] for name in ("Status", "Arguments", "Keyword arguments", "Result", "Worker", "Root id")],
                         ["SUCCESS", "(20,)", "{'y': 22}", "42", self.node, ids["succeeded"]])
        for name in ("Received", "Started", "Succeeded"):
            self.assertRegex(facts[name], STAMP)
        facts = self.task(ids["failed"])
        self.picture("failed")
        self.assertEqual((facts["Status"], facts["Exception"]), ("FAILURE", "ValueError('out of stock')"))
        self.assertIn("ValueError: out of stock", facts["Traceback"])
        facts = self.task(ids["retried"])
        self.picture("retried")
        self.assertEqual((facts["Status"], facts["Retries"], facts["Result"]), ("SUCCESS", "1", "1"))
        self.assertRegex(facts["Retried"], STAMP)
        facts = self.task(ids["revoked"])
        self.picture("revoked")
        self.assertEqual(facts["Status"], "REVOKED")
        self.assertRegex(facts["Revoked"], STAMP)

    def test_a_task_is_terminated_from_its_page(self):
        queue = f"own-{uuid.uuid4().hex[:8]}"
        worker = fleet.start_lovage(queue, queue, 1, "-E")
        self.addCleanup(fleet.stack.stop, worker)
        running = fleet.tasks.hold.apply_async(("never",), queue=queue)
        self.info(running.id, "STARTED")
        self.task(running.id)
        browsing.click("#task-terminate")
        self.info(running.id, "REVOKED")
        self.assertEqual(self.task(running.id)["Status"], "REVOKED")

    def test_the_tree_of_a_workflow(self):
        """From the page of the last task up to the first one's, and down again, by the links in them."""
        worker = fleet.start_lovage("tree", "tree", 2, "-E")
        self.addCleanup(fleet.stack.stop, worker)
        until(worker.says_ready, "it is ready")
        queues = ("tree-py", "tree") if self.mixed else ("tree", "tree")
        if self.mixed:
            other = fleet.start_celery("tree-py", "tree-py", 2, "-E")
            self.addCleanup(fleet.stack.stop, other)
            until(other.says_ready, "it is ready")
        root, header, body, last = self.tree(self.start_with_celery(*queues))
        facts = self.task(last["uuid"])
        self.assertEqual((facts["Parent id"], facts["Root id"]), (body["uuid"], root["uuid"]))
        self.picture("last-of-a-workflow")
        for click, name in ((body["uuid"], "tasks.total"), (root["uuid"], "tasks.add"), (header[0]["uuid"], "tasks.add")):
            browsing.click(f"dd a[href$='/task/{click}']")
            until(lambda: click in browsing.text(".task-uuid-value"), "the link leads there")
            self.assertEqual(browsing.text(".task-name-value"), name)
        facts = self.task(root["uuid"])
        self.assertEqual(set(facts["Children"].split()), {task["uuid"] for task in (*header, body)})
        self.picture("first-of-a-workflow")

    # ---- Broker

    def test_the_page_of_the_broker(self):
        def complete():
            rows = {row[0]: row for row in browsing.rows("#queue-table")[1:]}
            return rows if "cpp" in rows else None
        rows = self.show("broker", complete, "the queues are listed")
        self.picture("broker")
        self.assertEqual(set(rows), {"cpp", "mixed", "py"} if self.mixed else {"cpp", "mixed"})
        self.assertEqual(rows["cpp"][4], "1")  # consumers
        self.assertNotIn("guest:guest", browsing.text())


class Mixed(OnlyOurs):
    mixed = True
    queues = ("py", "cpp")

    def test_our_worker_has_every_line_of_pythons(self):
        def labels(rows):
            return {row[0] for row in rows if len(row) == 2}

        def missing(rows):
            return {row[0] for row in rows if len(row) == 2 and row[1] in ("", "—", "None")}
        theirs, ours = (self.tabs(node) for node in (self.python, self.node))
        for name in ("pool", "broker", "system", "other"):
            with self.subTest(name):
                self.assertEqual(labels(theirs[name]) - labels(ours[name]), set())
                self.assertLessEqual(missing(ours[name]), missing(theirs[name]))
        self.assertEqual(ours["queues"][0], theirs["queues"][0])


if __name__ == "__main__":
    browser.require()
    atexit.register(print, f"pictures: {PICTURES}")
    fleet.main()
