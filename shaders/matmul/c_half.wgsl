// The product is f16.
alias CStored = Element;
