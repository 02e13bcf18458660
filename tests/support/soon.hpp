#pragma once

#include <lovage/runtime/deadline.hpp>

#include <chrono>

namespace lovage {

/// The patience of a test with what takes a moment on an idle machine.
[[nodiscard]] inline Deadline soon() {
    return Deadline::in(std::chrono::seconds{30});
}

}  // namespace lovage
