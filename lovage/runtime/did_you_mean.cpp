#include <lovage/runtime/did_you_mean.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace lovage {

std::size_t edit_distance(std::string_view left, std::string_view right) {
    // Three rows of the usual table: a swap of neighbours looks two rows back.
    const std::size_t width = right.size() + 1;
    std::vector<std::size_t> two_back(width);
    std::vector<std::size_t> previous(width);
    std::vector<std::size_t> current(width);
    for (std::size_t j = 0; j < width; ++j) current[j] = j;
    for (std::size_t i = 1; i <= left.size(); ++i) {
        std::swap(two_back, previous);
        std::swap(previous, current);
        current[0] = i;
        for (std::size_t j = 1; j < width; ++j) {
            const bool same = left[i - 1] == right[j - 1];
            current[j] =
                std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                current[j] = std::min(current[j], two_back[j - 2] + 1);
            }
        }
    }
    return current.back();
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
    constexpr std::size_t kWordMax = 64;  // longer ones are no typing errors
    if (word.size() > kWordMax) return {};
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string_view candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
    const std::string_view near = closest(word, candidates);
    return near.empty() ? std::string{} : "; did you mean '" + std::string{near} + "'?";
}

}  // namespace lovage
