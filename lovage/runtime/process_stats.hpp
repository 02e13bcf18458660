#pragma once

#include <cstdint>
#include <string_view>

namespace lovage {

/// What the kernel says about this process; a figure that could not be read is 0.
struct ProcessStats {
    double cpu_seconds = 0;         ///< User and system time of all threads.
    double start_time_seconds = 0;  ///< Since the Unix epoch.
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t open_descriptors = 0;
    std::uint64_t descriptors_max = 0;
    std::uint64_t threads = 0;
};

/// Reads /proc/self (some 50 µs). Thread-safe.
[[nodiscard]] ProcessStats read_process_stats();

namespace detail {

/// What /proc/self/stat and /proc/stat are read with; figures as the kernel gives them.
struct KernelFacts {
    double ticks_per_second = 100;
    std::uint64_t page_bytes = 4096;
};

/// Fills what `self_stat` (proc(5): /proc/pid/stat) tells; `system_stat` is /proc/stat, for the
/// boot time.
[[nodiscard]] ProcessStats parse_process_stats(std::string_view self_stat,
                                               std::string_view system_stat, KernelFacts facts);

}  // namespace detail

}  // namespace lovage
