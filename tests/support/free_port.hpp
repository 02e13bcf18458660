#pragma once

#include <cstdint>

namespace lovage::testing_support {

/// A port of 127.0.0.1 that nobody uses, below the kernel's ephemeral range. Until this process
/// ends no other call here or in tools/services is given it, so that a server may take its time to
/// listen. Throws std::runtime_error when there is none.
[[nodiscard]] std::uint16_t free_port();

}  // namespace lovage::testing_support
