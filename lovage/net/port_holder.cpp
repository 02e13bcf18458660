#include <lovage/net/port_holder.hpp>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace lovage::net {

namespace fs = std::filesystem;

namespace {

std::string read_text(const fs::path& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
}

std::vector<std::string_view> words(std::string_view line) {
    std::vector<std::string_view> result;
    while (true) {
        const auto begin = line.find_first_not_of(" \t");
        if (begin == std::string_view::npos) return result;
        line.remove_prefix(begin);
        const auto end = std::min(line.find_first_of(" \t"), line.size());
        result.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

template <class T>
std::optional<T> number(std::string_view text, int base) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// The process that has the socket open, as far as we may look.
std::optional<std::string> find_owner(std::uint64_t inode) {
    const std::string wanted = fmt::format("socket:[{}]", inode);
    std::error_code ignored;
    for (const auto& process : fs::directory_iterator{"/proc", ignored}) {
        const std::string pid = process.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        std::error_code denied;
        for (const auto& descriptor : fs::directory_iterator{process.path() / "fd", denied}) {
            if (fs::read_symlink(descriptor.path(), ignored) != wanted) continue;
            std::string name = read_text(process.path() / "comm");
            while (!name.empty() && name.back() == '\n') name.pop_back();
            return fmt::format("process {} ({})", pid, name);
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<ListeningSocket> find_listening_socket(std::string_view proc_net_tcp,
                                                     std::uint16_t port) {
    constexpr std::string_view kListen = "0A";
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
    constexpr std::size_t kLocal = 1, kState = 3, kUser = 7, kInode = 9;
    while (!proc_net_tcp.empty()) {
        const auto end = std::min(proc_net_tcp.find('\n'), proc_net_tcp.size());
        const auto columns = words(proc_net_tcp.substr(0, end));
        proc_net_tcp.remove_prefix(std::min(end + 1, proc_net_tcp.size()));
        if (columns.size() <= kInode || columns[kState] != kListen) continue;
        const auto colon = columns[kLocal].rfind(':');
        if (colon == std::string_view::npos) continue;
        if (number<std::uint16_t>(columns[kLocal].substr(colon + 1), 16) != port) continue;
        const auto inode = number<std::uint64_t>(columns[kInode], 10);
        const auto user = number<std::uint32_t>(columns[kUser], 10);
        if (inode && user) return ListeningSocket{.inode = *inode, .user_id = *user};
    }
    return std::nullopt;
}

std::string describe_port_holder(std::uint16_t port) {
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        const auto socket = find_listening_socket(read_text(table), port);
        if (!socket) continue;
        if (auto owner = find_owner(socket->inode)) return *std::move(owner);
        return fmt::format("a process of user {}", socket->user_id);
    }
    return {};
}

}  // namespace lovage::net
