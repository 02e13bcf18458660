#include <lovage/runtime/process_stats.hpp>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace lovage {

namespace {

std::string read_text(const char* path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::uint64_t to_number(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::vector<std::string_view> words(std::string_view text) {
    constexpr std::string_view kBlanks = " \n";
    std::vector<std::string_view> found;
    for (std::size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;) {
        const std::size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
        found.push_back(text.substr(at, end - at));
        at = text.find_first_not_of(kBlanks, end);
    }
    return found;
}

std::uint64_t count_open_descriptors() {
    std::error_code error;
    std::uint64_t count = 0;
    for (std::filesystem::directory_iterator entry{"/proc/self/fd", error}, end;
         !error && entry != end; entry.increment(error)) {
        ++count;
    }
    return count > 0 ? count - 1 : 0;  // without the one that read the folder
}

}  // namespace

namespace detail {

ProcessStats parse_process_stats(std::string_view self_stat, std::string_view system_stat,
                                 KernelFacts facts) {
    ProcessStats stats;
    // The second field is the program's name in parentheses and may hold blanks and parentheses
    // itself, so counting starts behind the last one: with field 3, the state.
    const std::size_t name_end = self_stat.rfind(')');
    if (name_end == std::string_view::npos) return stats;
    const std::vector<std::string_view> fields = words(self_stat.substr(name_end + 1));
    const auto field = [&](std::size_t number) {
        return number - 3 < fields.size() ? to_number(fields[number - 3]) : 0;
    };
    stats.cpu_seconds = static_cast<double>(field(14) + field(15)) / facts.ticks_per_second;
    stats.threads = field(20);
    stats.virtual_bytes = field(23);
    stats.resident_bytes = field(24) * facts.page_bytes;

    constexpr std::string_view kBootTime = "\nbtime ";
    if (const std::size_t at = system_stat.find(kBootTime); at != std::string_view::npos) {
        stats.start_time_seconds =
            static_cast<double>(to_number(system_stat.substr(at + kBootTime.size()))) +
            static_cast<double>(field(22)) / facts.ticks_per_second;
    }
    return stats;
}

}  // namespace detail

ProcessStats read_process_stats() {
    const detail::KernelFacts facts{
        .ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK)),
        .page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
    ProcessStats stats =
        detail::parse_process_stats(read_text("/proc/self/stat"), read_text("/proc/stat"), facts);
    stats.open_descriptors = count_open_descriptors();
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.descriptors_max = limit.rlim_cur;
    return stats;
}

}  // namespace lovage
