#include <lovage/worker/prefork/registry_check.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace lovage::slot {

namespace {

std::string only_in(const std::vector<std::string>& here, const std::vector<std::string>& there,
                    std::string_view where) {
    constexpr std::size_t kShown = 3;
    std::vector<std::string> only;
    std::ranges::set_difference(here, there, std::back_inserter(only));
    if (only.empty()) return {};
    std::string text = fmt::format("; only the {} has ", where);
    for (std::size_t i = 0; i < std::min(kShown, only.size()); ++i) {
        if (i != 0) text += ", ";
        text += only[i];
    }
    if (only.size() > kShown) text += fmt::format(" and {} more", only.size() - kShown);
    return text;
}

}  // namespace

std::vector<std::string> signatures(const TaskRegistry& registry) {
    std::vector<std::string> all;
    for (const std::string& name : registry.names()) {
        all.push_back(registry.find(name)->signature());
    }
    return all;
}

std::uint64_t registry_hash(const TaskRegistry& registry) {
    // FNV-1a, 64 bits: it tells accidents apart, not attackers.
    std::uint64_t hash = 0xcbf29ce484222325U;
    const auto add = [&hash](unsigned char byte) {
        hash ^= byte;
        hash *= 0x100000001b3U;
    };
    for (const std::string& signature : signatures(registry)) {
        for (const char c : signature) add(static_cast<unsigned char>(c));
        add(0);
    }
    return hash;
}

std::string difference(const std::vector<std::string>& worker,
                       const std::vector<std::string>& slot) {
    return only_in(worker, slot, "worker") + only_in(slot, worker, "slot");
}

}  // namespace lovage::slot
