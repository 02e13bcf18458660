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

void RevokedStamps::add(const Stamps& stamps) {
    for (const auto& [header, values] : stamps) {
        if (values.empty()) continue;
        const auto known = stamps_.try_emplace(header).first;
        for (const std::string& value : values) {
            const auto [place, is_new] = known->second.insert(value);
            if (is_new) order_.emplace_back(known, place);
        }
    }
    while (order_.size() > kValuesMost) forget_oldest();
}

void RevokedStamps::forget_oldest() {
    const auto [header, value] = order_.front();
    order_.pop_front();
    header->second.erase(value);
    if (header->second.empty()) stamps_.erase(header);
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
