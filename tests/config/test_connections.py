import pytest

from edge.config.connections import (
    ConnectionInvalid,
    ModbusTcp,
    RtuGateway,
    SerialPort,
    SerialSettings,
    parse_connection,
)


@pytest.mark.parametrize(
    ("text", "connection"),
    [
        ("tcp://192.0.2.20:1502", ModbusTcp("192.0.2.20", 1502)),
        ("tcp://[2001:db8::1]:502", ModbusTcp("2001:db8::1", 502)),
        ("tcp://meter.lan", ModbusTcp("meter.lan", 502)),
        ("TCP://meter_1", ModbusTcp("meter_1", 502)),
        ("rtu+tcp://192.0.2.21:4196", RtuGateway("192.0.2.21", 4196)),
        ("rtu:///dev/ttyUSB0", SerialPort("/dev/ttyUSB0")),
        ("rtu:///dev/ttyUSB0?baudrate=19200&parity=e&stopbits=1", SerialPort("/dev/ttyUSB0", 19200, "E", 1)),
        ("rtu:///dev/ttyUSB0?bytesize=8", SerialPort("/dev/ttyUSB0")),
        (
            "rtu:///dev/serial/by-id/usb-FTDI_FT232R_A6008-if00-port0?stopbits=2",
            SerialPort("/dev/serial/by-id/usb-FTDI_FT232R_A6008-if00-port0", stopbits=2),
        ),
    ],
)
def test_a_connection_is_taken_apart(text, connection):
    assert parse_connection(text) == connection


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has to begin with"),
        ("192.0.2.20:502", "it has to begin with"),
        ("/dev/ttyUSB0", "it has to begin with"),
        ("tcp://a b", "it has to begin with"),
        ("http://h:502", '"http://" is not known'),
        ("tcp://", "neither a host name nor an IP address"),
        ("tcp://:502", "neither a host name nor an IP address"),
        ("tcp://192.0.2.256", "neither a host name nor an IP address"),
        ("tcp://[::x]", "neither a host name nor an IP address|IPv6"),
        ("tcp://h:port", "(?i)port"),
        ("tcp://h:70000", "(?i)port"),
        ("tcp://h:0", "port 0 does not exist"),
        ("tcp://h:502/1", "nothing may stand around HOST:PORT; the unit has a key of its own"),
        ("tcp://u@h:1", "nothing may stand around"),
        ("tcp://h?unit=1", "only a serial port has parameters"),
        ("rtu+tcp://h:4196?baudrate=9600", "baud rate and parity are set in the gateway"),
        ("rtu+tcp://h", "the gateway's port is missing"),
        ("rtu://ttyUSB0", "rtu:///dev/ttyUSB0"),
        ("rtu:///dev/", "the name of the serial port is missing"),
        ("rtu:///dev/ttyUSB0?baud=9600", 'parameter "baud" is not known, expected one of baudrate, parity'),
        ("rtu:///dev/ttyUSB0?baudrate=fast", 'baudrate is a number such as 9600, not "fast"'),
        ("rtu:///dev/ttyUSB0?baudrate=50", "baudrate is a number from 300"),
        ("rtu:///dev/ttyUSB0?parity=even", "parity is N, E or O"),
        ("rtu:///dev/ttyUSB0?stopbits=3", "stopbits is 1 or 2"),
        ("rtu:///dev/ttyUSB0?bytesize=7", "bytesize is 8, as Modbus RTU wants it"),
        ("rtu:///dev/ttyUSB0?parity=N&parity=E", "parity stands there twice"),
        ("rtu:///dev/ttyUSB0?9600", "parameters are NAME=VALUE"),
    ],
)
def test_a_wrong_connection_is_explained(text, why):
    with pytest.raises(ConnectionInvalid, match=why):
        parse_connection(text)


def test_what_the_url_does_not_say_is_as_the_meter_usually_has_it():
    usual = SerialSettings(19200, "E", 1)
    assert SerialPort("/dev/ttyS0").settings(usual) == usual
    assert SerialPort("/dev/ttyS0", 9600, "N", 2).settings(usual) == SerialSettings(9600, "N", 2)
    assert str(SerialSettings(9600, "N", 2)) == "9600 baud 8N2"


def test_two_meters_share_a_place_whatever_else_differs():
    assert parse_connection("rtu:///dev/ttyS0?baudrate=9600").place == parse_connection("rtu:///dev/ttyS0").place
    assert parse_connection("tcp://h").place == parse_connection("tcp://h:502").place
    assert parse_connection("tcp://h:502").place != parse_connection("rtu+tcp://h:502").place
