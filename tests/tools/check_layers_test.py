#!/usr/bin/env python3
"""What tools/check_layers.py allows and refuses."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from check_layers import fault  # noqa: E402


class CheckLayers(unittest.TestCase):
    def test_modules_above_are_allowed(self):
        self.assertIsNone(fault("lovage/worker/worker.cpp", "lovage/core/json.hpp"))
        self.assertIsNone(fault("lovage/worker/worker.cpp", "lovage/worker/eta_queue.hpp"))
        self.assertIsNone(fault("lovage/worker/worker.cpp", "lovage/awaitable.hpp"))

    def test_modules_below_are_refused(self):
        self.assertIn("worker lies below", fault("lovage/core/json.cpp", "lovage/worker/worker.hpp"))
        self.assertIn("worker lies below", fault("lovage/app/app_test.cpp", "lovage/worker/worker.hpp"))

    def test_only_cli_names_drivers(self):
        self.assertIn("concrete driver", fault("lovage/app/app.cpp", "lovage/brokers/sqlite/sqlite_broker.hpp"))
        self.assertIsNone(fault("lovage/cli/drivers.cpp", "lovage/brokers/sqlite/sqlite_broker.hpp"))
        self.assertIsNone(fault("lovage/brokers/sqlite/sqlite_broker.cpp", "lovage/brokers/sqlite/sqlite_broker.hpp"))
        self.assertIsNone(fault("lovage/app/app_test.cpp", "lovage/brokers/memory/memory_broker.hpp"))
        self.assertIsNone(fault("lovage/app/app.cpp", "lovage/brokers/broker.hpp"))

    def test_the_umbrella_is_for_users(self):
        self.assertIn("umbrella", fault("lovage/cli/main.cpp", "lovage/lovage.hpp"))

    def test_unknown_modules_are_refused(self):
        self.assertIn("unknown module", fault("lovage/worker/worker.cpp", "lovage/misc/x.hpp"))


if __name__ == "__main__":
    unittest.main()
