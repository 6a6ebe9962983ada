package terminal

const childSocket = "QUARTERDECK_TEST_SOCKET"

func child() int { return 0 }
