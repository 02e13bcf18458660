#include <lovage/worker/control/elections.hpp>

#include <algorithm>

namespace lovage::control {

std::size_t Elections::heard(std::string_view election, std::string_view candidate) {
    const auto known = std::ranges::find(recent_, election, &Election::id);
    if (known == recent_.end()) {
        if (recent_.size() >= kRemembered) recent_.pop_front();
        recent_.push_back({std::string{election}, std::string{candidate}});
        return 0;
    }
    if (known->open) return 1;
    known->open = known->first != candidate;
    return known->open ? 2 : 0;
}

}  // namespace lovage::control
