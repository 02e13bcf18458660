#pragma once

#include <lovage/runtime/deadline.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::integration {

/// A service manager's end of systemd's notify protocol.
class NotifySocket {
public:
    /// `name` is a path, or '@' and an abstract name. Throws std::runtime_error.
    explicit NotifySocket(const std::string& name);
    ~NotifySocket();
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Everything that was read so far, line by line.
    [[nodiscard]] const std::vector<std::string>& lines() const noexcept { return lines_; }

    /// Waits for a line that begins like this; what came before it is read past.
    [[nodiscard]] bool wait_for(std::string_view beginning, Deadline deadline);

private:
    bool receive(Deadline deadline);

    std::string name_;
    int descriptor_ = -1;
    std::vector<std::string> lines_;
    std::size_t read_ = 0;
};

}  // namespace lovage::integration
