#pragma once
// For the tests of programs that define tasks; see docs/guides/testing.md.

#include <lovage/lovage.hpp>
#include <lovage/testing/apply.hpp>
#include <lovage/testing/manual_clock.hpp>
#include <lovage/testing/memory_settings.hpp>
#include <lovage/testing/test_worker.hpp>
