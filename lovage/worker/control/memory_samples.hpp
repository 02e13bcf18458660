#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace lovage::control {

/// What `memsample` has found of the worker's memory, for `memdump` to print; the words and numbers
/// are Celery's. A plain value; not thread-safe.
class MemorySamples {
public:
    /// More than these push out the oldest. Celery differs: there nothing does.
    static constexpr std::size_t kMost = 1000;

    /// Keeps a sample, and returns its text: "15.492MB".
    std::string add(std::uint64_t resident_bytes);

    /// At most `count` samples since the last dump, evenly taken and oldest first, and what is
    /// resident now; forgets the samples.
    [[nodiscard]] std::string dump(std::size_t count, std::uint64_t resident_bytes);

private:
    std::deque<std::string> samples_;
};

}  // namespace lovage::control
