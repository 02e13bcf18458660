#include <lovage/worker/revoked_stamps.hpp>

namespace lovage {
namespace {

bool is_value(const Json& stamp) {
    return stamp.is_string() || stamp.is_integer() || stamp.is_real() || stamp.is_bool();
}

}  // namespace

std::vector<std::string> RevokedStamps::values_of(const Json& stamp) {
    if (is_value(stamp)) return {to_json_text(stamp)};
    std::vector<std::string> values;
    if (!stamp.is_array()) return values;
    for (const Json& value : stamp.as_array()) {
        if (is_value(value)) values.push_back(to_json_text(value));
    }
    return values;
}

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
