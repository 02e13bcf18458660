#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace lovage::detail {

/// Objects of one process that are found by name and live as long as somebody holds them.
/// Thread-safe.
template <class T>
class SharedByName {
public:
    /// The living object called `name`, or a new one made by `make`.
    std::shared_ptr<T> get(const std::string& name,
                           const std::function<std::shared_ptr<T>()>& make) {
        const std::lock_guard lock{mutex_};
        std::erase_if(objects_, [](const auto& entry) { return entry.second.expired(); });
        std::weak_ptr<T>& slot = objects_[name];
        std::shared_ptr<T> object = slot.lock();
        if (!object) {
            object = make();
            slot = object;
        }
        return object;
    }

private:
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<T>> objects_;
};

}  // namespace lovage::detail
