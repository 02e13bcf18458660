#include <lovage/core/result_tuple.hpp>

#include <utility>

namespace lovage {

namespace {

/// By moves: an initializer list would copy every ancestor once more at each step.
Json pair_of(Json first, Json second) {
    Json::Array pair;
    pair.reserve(2);
    pair.push_back(std::move(first));
    pair.push_back(std::move(second));
    return Json{std::move(pair)};
}

}  // namespace

Json task_result_tuple(std::string id, Json parent) {
    return group_result_tuple(std::move(id), {}, std::move(parent));
}

Json group_result_tuple(std::string id, Json members, Json parent) {
    return pair_of(pair_of(Json{std::move(id)}, std::move(parent)), std::move(members));
}

bool is_group_result(const Json& result) {
    return result.is_array() && result.as_array().size() == 2 && !result.as_array()[1].is_null();
}

}  // namespace lovage
