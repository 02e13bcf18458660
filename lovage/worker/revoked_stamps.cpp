#include <lovage/worker/revoked_stamps.hpp>

#include <vector>

namespace lovage {
namespace {

/// A stamp's value: one text, or a list of them.
std::vector<std::string> values_of(const Json& stamp) {
    if (stamp.is_string()) return {stamp.as_string()};
    std::vector<std::string> values;
    if (!stamp.is_array()) return values;
    for (const Json& value : stamp.as_array()) {
        if (value.is_string()) values.push_back(value.as_string());
    }
    return values;
}

}  // namespace

bool RevokedStamps::add(const Stamps& stamps) {
    std::size_t more = 0;
    for (const auto& [header, values] : stamps) more += values.size();
    if (values_ + more > kValuesMost) return false;
    for (const auto& [header, values] : stamps) {
        std::set<std::string>& known = stamps_[header];
        const std::size_t before = known.size();
        known.insert(values.begin(), values.end());
        values_ += known.size() - before;
    }
    return true;
}

RevokedStamps::Stamps RevokedStamps::common(const TaskMessage& message, const Stamps& stamps) {
    Stamps found;
    const auto carried = message.stamps.fully_expanded();
    if (!carried) return found;
    for (const auto& [header, values] : stamps) {
        const Json* const stamp = carried->find(header);
        if (stamp == nullptr) continue;
        for (std::string& value : values_of(*stamp)) {
            if (values.contains(value)) found[header].insert(std::move(value));
        }
    }
    return found;
}

}  // namespace lovage
