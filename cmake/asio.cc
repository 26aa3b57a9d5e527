// Boost.Asio compiled once, so that including it costs less.
#include <boost/asio/impl/src.hpp>
